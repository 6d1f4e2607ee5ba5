"""Every method by name, as values over shared parts. Imports no torch: parameters read it too."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class MethodEntry:
    """What distinguishes one method from the others.

    Attributes:
        title: the row's name in tables and figures (the paper's where it has one).
        module: file in `segtrans/methods/` whose `build` makes the method.
        weights: names of the objective's weights that the method needs; their values stand in
            the parameters under `objective.<module>`, and what it has otherwise under
            `objective.<method>`.
        options: in what variants of a method differ; its module says what they mean.
        only_labelled: batches of P hold labelled images alone.
        paper_dice: the paper's Dice by task as (mean, standard deviation), Tables 1a and 1b.
    """

    title: str
    module: str
    weights: tuple[str, ...]
    options: dict[str, str] = field(default_factory=dict)
    only_labelled: bool = False
    paper_dice: dict[str, tuple[float, float]] = field(default_factory=dict)


_TRANSLATION_WEIGHTS = ("lambda_adv", "lambda_rec", "lambda_lat", "lambda_cyc", "lambda_seg")

METHODS: dict[str, MethodEntry] = {
    "segmentation_only": MethodEntry(
        title="Only segmentation",
        module="segmentation_only",
        weights=("lambda_seg",),
        only_labelled=True,
        paper_dice={
            "mnist48_simple": (0.61, 0.01),
            "mnist48_hard": (0.36, 0.01),
            "mnist128": (0.15, 0.01),
            "brats": (0.69, 0.04),
        },
    ),
    "autoencoder": MethodEntry(
        title="AE baseline",
        module="autoencoder",
        weights=("lambda_rec", "lambda_seg"),
        paper_dice={
            "mnist48_simple": (0.75, 0.01),
            "mnist48_hard": (0.49, 0.02),
            "mnist128": (0.57, 0.02),
            "brats": (0.73, 0.02),
        },
    ),
    "translation": MethodEntry(
        title="Proposed",
        module="translation",
        weights=_TRANSLATION_WEIGHTS,
        options={"long_skip": "compress", "segmentation_decoder": "shared"},
        paper_dice={
            "mnist48_simple": (0.79, 0.01),
            "mnist48_hard": (0.57, 0.00),
            "mnist128": (0.65, 0.01),
            "brats": (0.79, 0.02),
        },
    ),
    "translation_separate": MethodEntry(
        title="Proposed (separate decoder)",
        module="translation",
        weights=_TRANSLATION_WEIGHTS,
        options={"long_skip": "compress", "segmentation_decoder": "separate"},
        paper_dice={
            "mnist48_simple": (0.78, 0.02),
            "mnist48_hard": (0.50, 0.01),
            "mnist128": (0.70, 0.00),
            "brats": (0.77, 0.03),
        },
    ),
    "translation_concat": MethodEntry(
        title="Proposed, skips concatenated",
        module="translation",
        weights=_TRANSLATION_WEIGHTS,
        options={"long_skip": "concat", "segmentation_decoder": "shared"},
        paper_dice={"mnist48_hard": (0.57, 0.01)},
    ),
    "translation_sum": MethodEntry(
        title="Proposed, skips summed",
        module="translation",
        weights=_TRANSLATION_WEIGHTS,
        options={"long_skip": "sum", "segmentation_decoder": "shared"},
        paper_dice={"mnist48_hard": (0.56, 0.00)},
    ),
    "translation_noskip": MethodEntry(
        title="Proposed, no skips",
        module="translation",
        weights=_TRANSLATION_WEIGHTS,
        options={"long_skip": "none", "segmentation_decoder": "shared"},
        paper_dice={"mnist48_hard": (0.42, 0.01)},
    ),
}


def row_name(method: str, variant: str | None) -> str:
    """A row of a scale's table, as paths and tools name it."""
    return method if variant is None else f"{method}-{variant}"


def row_title(method: str, variant: str | None) -> str:
    """A row of a scale's table, as tables and figures name it."""
    title = METHODS[method].title
    return title if variant is None else f"{title}, {variant.replace('_', ' ')}"
