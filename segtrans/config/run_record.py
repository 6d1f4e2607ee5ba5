"""What a run folder's JSON files hold, as typed models: written and read through these alone.

`run.json` is a `RunRecord`, `metrics.json` `Metrics`, `labelled_ids.json` `LabelledIds`, each line
of `history.jsonl` a `HistoryRecord`. Imports no torch.
"""

import math
from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from segtrans.config.run_config import RunConfig

_VERSION: Final = 1

Count = Annotated[int, Field(ge=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
# What an older version wrote has the second name.
ConfigIdentity = Annotated[
    str, Field(validation_alias=AliasChoices("config_identity", "cell_identity"))
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Unit = Literal["digit", "volume", "half_slice", "image"]
Fold = Literal["valid", "test"]
RunFile = Literal["history.jsonl", "labelled_ids.json"]
WeightsSha256 = Annotated[dict[Literal["best", "last"], Sha256], Field(min_length=2)]
# By the name of the figure; null where a task does not have it.
Scores = dict[str, Annotated[float, Field(allow_inf_nan=False)] | int | None]

DICE = "dice_soft_pooled"
# Null for tasks without patients.
PATIENT_FIGURES = ("dice_hard_patient_3d", "hd95_mm_patient")
# Null for methods that reconstruct nothing.
RECONSTRUCTION_FIGURES = ("reconstruction_l1", "reconstruction_l1_constant")
# Null without lesions (the first), or without patients or groups (the last two).
LESION_FIGURES = (
    "lesions_found_fraction",
    "lesions_false_image_mean",
    "lesions_found_fraction_group",
    "lesions_false_group_mean",
)
# Null for methods that do not translate, the last six for those without discriminators.
TRANSLATION_FIGURES = (
    *("dice_residual", "dice_difference", "dice_intensity", "kept_target", "kept_rest"),
    *("disc_auc_A", "disc_auc_P"),
    *("disc_score_A", "disc_score_PA", "disc_score_P", "disc_score_AP"),
)
NULLABLE = (
    *PATIENT_FIGURES,
    *RECONSTRUCTION_FIGURES,
    LESION_FIGURES[0],
    *LESION_FIGURES[2:],
    *TRANSLATION_FIGURES,
)
_SIGNED = ("kept_", "disc_score_")  # what may be below 0
_SHARES = ("dice_", "lesions_found_fraction", "disc_auc_")
FIGURES = (
    DICE,
    "dice_hard_pooled",
    "dice_hard_image_mean",
    *PATIENT_FIGURES,
    "false_positive_pixels_A",
    "false_positive_pixels_A_image_mean",
    *RECONSTRUCTION_FIGURES,
    *LESION_FIGURES,
    *TRANSLATION_FIGURES,
)
# Of each pathology by name, where there are several and the method tells them apart.
OF_PATHOLOGY = (
    *("dice_soft_pooled_of_", "dice_hard_pooled_of_", "dice_hard_image_mean_of_"),
    "n_images_of_",
)


class Record(BaseModel):
    """A part of a file: frozen, strict in types, no unknown key."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class ImageCounts(Record):
    """Number of images of each domain."""

    present: Count
    absent: Count


class DataRecord(Record):
    """The data set that a run was trained on.

    Attributes:
        file: its path then.
        sha256: of the file.
        source: one sentence on where the raw data come from.
        parameters: everything that decided its content.
        n_train_images: training images by domain.
    """

    file: str
    sha256: Sha256
    source: str
    parameters: dict[str, Any]
    n_train_images: ImageCounts


class LabelledRecord(Record):
    """How much of the training fold is labelled: units, and images of them."""

    unit: Unit
    n_units: Count
    n_images: Count


class UsageRecord(Record):
    """As `segtrans.train.usage.Usage`: megabytes and watt-hours, null where not counted."""

    peak_memory_mb: Amount
    gpu_peak_memory_mb: Amount | None
    energy_wh: Amount | None


class SessionRecord(Record):
    """A process that trained.

    Attributes:
        from_iteration: where it began.
        device: that trained.
        commit: of the sources; null where it is not known.
        commit_unknown: why not.
        versions: of Python and packages.
        usage: null for what was trained before usage was counted.
    """

    from_iteration: Count
    device: str
    commit: str | None
    commit_unknown: str | None = None
    versions: dict[str, str]
    usage: UsageRecord | None = None


class RunOrigin(Record):
    """What is known of a run before it ends.

    Attributes:
        config: what is trained.
        config_identity: `RunConfig.identity`.
        preset: name of the preset.
        variant: of the parameters, by name; null without one.
        data: the data set.
        labelled: what of it is labelled.
        device: of the process that trained last, as commit and versions.
        sessions: all processes that trained, in order.
    """

    schema_version: Literal[1] = _VERSION
    # What an older version wrote has the second names.
    config: Annotated[RunConfig, Field(validation_alias=AliasChoices("config", "cell"))]
    config_identity: ConfigIdentity
    preset: Annotated[str, Field(validation_alias=AliasChoices("preset", "scale"))]
    variant: str | None = None
    data: DataRecord
    labelled: LabelledRecord
    device: str
    commit: str | None
    versions: dict[str, str]
    sessions: Annotated[tuple[SessionRecord, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_of_one_config(self) -> Self:
        if self.config_identity != self.config.identity:
            raise ValueError(
                f"config_identity = {self.config_identity}: that of the run configuration beside "
                f"it is {self.config.identity}; changed by hand or by another version; train the "
                "run again"
            )
        return self


class RunRecord(RunOrigin):
    """The content of `run.json`: a finished run.

    Attributes:
        best_iteration: iteration whose weights are kept.
        best_dice_soft_pooled: their validation Dice.
        weights_sha256: of the files of the best and of the last weights; null in a run from before
            they were noted.
        files_sha256: of the files beside it that are no weights; null likewise.
        n_parameters: numbers that are trained.
        seconds: of training, all processes together.
        usage: of all processes together.
        mlflow_run_id: null when it was not tracked while it trained.
    """

    best_iteration: Count
    best_dice_soft_pooled: Finite
    weights_sha256: WeightsSha256 | None = None
    files_sha256: Annotated[dict[RunFile, Sha256], Field(min_length=2)] | None = None
    n_parameters: Count
    seconds: Amount
    usage: UsageRecord | None = None
    mlflow_run_id: str | None


class Metrics(Record):
    """The content of `metrics.json`: scores of the best and of the last weights, by fold.

    `weights_sha256` says of which weights; null when `run.json` did not, or in an older file.
    """

    schema_version: Literal[1] = _VERSION
    best: dict[Fold, Scores]
    last: dict[Fold, Scores]
    threshold: Annotated[float, Field(ge=0.0, le=1.0)]
    config_identity: ConfigIdentity
    data_sha256: Sha256
    weights_sha256: WeightsSha256 | None = None
    notes: dict[str, str] = {}

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        for which in ("best", "last"):
            for fold in ("valid", "test"):
                scores = getattr(self, which).get(fold, {})
                if missing := [name for name in FIGURES if name not in scores]:
                    raise ValueError(f"{which}.{fold}.{missing[0]}: missing")
                for name in FIGURES:
                    if scores[name] is None and name not in NULLABLE:
                        raise ValueError(f"{which}.{fold}.{name} = null: expected a number")
                for name, value in scores.items():
                    smallest = -math.inf if name.startswith(_SIGNED) else 0
                    largest = 1 if name.startswith(_SHARES) else math.inf
                    if value is not None and not smallest <= value <= largest:
                        raise ValueError(f"{which}.{fold}.{name} = {value}: no such score")
        return self

    @property
    def test_dice(self) -> float:
        """The headline: soft Dice, pooled, of the best weights on the test fold."""
        return cast(float, self.best["test"][DICE])

    @property
    def test_false_positives(self) -> float:
        """Pixels segmented in an absence image of the test fold, mean, of the best weights."""
        return cast(float, self.best["test"]["false_positive_pixels_A_image_mean"])


class LabelledIds(Record):
    """The content of `labelled_ids.json`, as `segtrans.data.feed.labels.Labelled`."""

    schema_version: Literal[1] = _VERSION
    unit: Unit
    ids: tuple[Count, ...] | tuple[str, ...]


class HistoryRecord(Record):
    """One validation: the terms' means since the one before, and the validation fold's scores."""

    iteration: Count
    train: dict[str, Finite]
    valid: dict[str, Finite]

    @model_validator(mode="after")
    def _has_the_headline(self) -> Self:
        if DICE not in self.valid:
            raise ValueError(f"valid.{DICE}: missing")
        return self
