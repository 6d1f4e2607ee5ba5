"""Every method by name, as values over shared parts. Imports no torch: parameters read it too."""

from dataclasses import dataclass, replace
from typing import Literal, TypeVar


@dataclass(frozen=True, kw_only=True)
class TranslationOptions:
    """In what the proposed method and its ablations differ; the values are the proposed one's.

    Attributes:
        long_skip: how encoder maps reach the decoders.
        segmentation_decoder: the residual decoder, adapted (equation 5), or one of its own.
        residual_decoders: of several pathologies: one whose norms depend on which, or one for each.
        fakes: what a discriminator learns to tell from real images of its domain: translations
            into it (equation 12), or these and real images of the other domain, with half of the
            weight each.
    """

    long_skip: Literal["compress", "concat", "sum", "none"] = "compress"
    segmentation_decoder: Literal["shared", "separate"] = "shared"
    residual_decoders: Literal["conditional", "separate"] = "conditional"
    fakes: Literal["translations", "translations and other domain"] = "translations"


@dataclass(frozen=True, kw_only=True)
class AutoencoderOptions:
    """In what the autoencoder and its ablation differ; the values are the baseline's.

    Attributes:
        reconstruction: mean absolute error (equation 9) or mean squared error. Where an image is
            mostly black, a network that cannot tell where the rest lies has its least absolute
            error at black, and learns nothing from there on; the least squared error is a blur.
    """

    reconstruction: Literal["absolute", "squared"] = "absolute"


_Options = TypeVar("_Options", TranslationOptions, AutoencoderOptions)


@dataclass(frozen=True, kw_only=True)
class MethodEntry:
    """What distinguishes one method from the others.

    Attributes:
        title: the method's name in tables and figures (the paper's where it has one).
        module: file in `segtrans/methods/` whose `build` makes the method.
        weights: names of the objective's weights that the method needs; their values stand in
            the parameters under `objective.<method>`.
        parent: the method that this one is an ablation of: what the parameters give to that one's
            weights holds for this one's too, but for what it has of its own.
        options: what the module builds otherwise for this method; None: nothing.
        only_labelled: batches of P hold labelled images alone.
        tells_apart: each of several pathologies is segmented by itself; others take all for one.
        takes_volumes: its images may have three dimensions.
        has_rounds: another method may be its first (`training.first_round`).
    """

    title: str
    module: str
    weights: tuple[str, ...]
    parent: str | None = None
    options: TranslationOptions | AutoencoderOptions | None = None
    only_labelled: bool = False
    tells_apart: bool = False
    takes_volumes: bool = False
    has_rounds: bool = False


_PROPOSED = MethodEntry(
    title="Proposed",
    module="translation",
    weights=("lambda_adv", "lambda_rec", "lambda_lat", "lambda_cyc", "lambda_seg"),
    takes_volumes=True,
)
_AUTOENCODER = MethodEntry(
    title="AE baseline",
    module="autoencoder",
    weights=("lambda_rec", "lambda_seg"),
    takes_volumes=True,
)
_ABLATION = replace(_PROPOSED, parent="translation")

METHODS: dict[str, MethodEntry] = {
    "segmentation_only": MethodEntry(
        title="Only segmentation",
        module="segmentation_only",
        weights=("lambda_seg",),
        only_labelled=True,
        takes_volumes=True,
    ),
    "autoencoder": _AUTOENCODER,
    "translation": _PROPOSED,
    "translation_separate": replace(
        _ABLATION,
        title="Proposed (separate decoder)",
        options=TranslationOptions(segmentation_decoder="separate"),
    ),
    "translation_concat": replace(
        _ABLATION,
        title="Proposed, skips concatenated",
        options=TranslationOptions(long_skip="concat"),
    ),
    "translation_sum": replace(
        _ABLATION, title="Proposed, skips summed", options=TranslationOptions(long_skip="sum")
    ),
    "translation_noskip": replace(
        _ABLATION, title="Proposed, no skips", options=TranslationOptions(long_skip="none")
    ),
    "mean_teacher": MethodEntry(
        title="Mean teacher", module="mean_teacher", weights=("lambda_seg", "lambda_cons")
    ),
    "uncertainty_mean_teacher": MethodEntry(
        title="Uncertainty-aware mean teacher",
        module="uncertainty_mean_teacher",
        weights=("lambda_seg", "lambda_cons"),
    ),
    "cross_pseudo_supervision": MethodEntry(
        title="Cross pseudo supervision",
        module="cross_pseudo_supervision",
        weights=("lambda_seg", "lambda_pseudo"),
    ),
    "fixmatch": MethodEntry(
        title="FixMatch, two views", module="fixmatch", weights=("lambda_seg", "lambda_pseudo")
    ),
    "copy_paste": MethodEntry(
        title="Copy-paste", module="copy_paste", weights=("lambda_seg", "lambda_pseudo")
    ),
    "self_training": MethodEntry(
        title="Self-training",
        module="self_training",
        weights=("lambda_seg", "lambda_pseudo"),
        has_rounds=True,
    ),
    "translation_mean_teacher": replace(
        _ABLATION,
        title="Proposed, mean teacher",
        module="translation_mean_teacher",
        weights=(*_PROPOSED.weights, "lambda_cons"),
        takes_volumes=False,
    ),
    "autoencoder_squared": replace(
        _AUTOENCODER,
        title="AE baseline, squared error",
        parent="autoencoder",
        options=AutoencoderOptions(reconstruction="squared"),
    ),
    "pathologies": replace(
        _ABLATION,
        title="Proposed, several pathologies",
        module="pathologies",
        tells_apart=True,
        takes_volumes=False,
    ),
    "pathologies_separate": replace(
        _ABLATION,
        title="Proposed, a decoder for each pathology",
        module="pathologies",
        tells_apart=True,
        takes_volumes=False,
        options=TranslationOptions(residual_decoders="separate"),
    ),
    "translation_domain_aware": replace(
        _ABLATION,
        title="Proposed, domain-aware discriminators",
        options=TranslationOptions(fakes="translations and other domain"),
    ),
    # Of labelled images x_PA is to be x_P outside of the mask (docs/evidence.md).
    "translation_masked": replace(
        _ABLATION,
        title="Proposed, masks in translation",
        weights=(*_PROPOSED.weights, "lambda_keep"),
        options=TranslationOptions(fakes="translations and other domain"),
    ),
}


def options_of(method: str, defaults: type[_Options]) -> _Options:
    """The options of a method, or those that say nothing else than the defaults."""
    options = METHODS[method].options
    return options if isinstance(options, defaults) else defaults()


def check_dimensions(method: str, task: str, n_dimensions: int) -> None:
    """Raise ValueError where the images of a task have more dimensions than a method can take."""
    if n_dimensions > 2 and not METHODS[method].takes_volumes:
        allowed = ", ".join(name for name, entry in METHODS.items() if entry.takes_volumes)
        raise ValueError(
            f"method = {method}: takes no volumes, which the images of task {task} are; allowed: "
            f"{allowed}"
        )


def check_first_round(method: str | None) -> None:
    """Raise ValueError where a method with rounds cannot begin with another; None is itself."""
    allowed = [
        name for name, entry in METHODS.items() if not (entry.has_rounds or entry.tells_apart)
    ]
    if method is not None and method not in allowed:
        raise ValueError(f"training.first_round = {method}: allowed: null, {', '.join(allowed)}")


def lineage(method: str) -> tuple[str, ...]:
    """A method after those that it descends from, the first of them first."""
    parent = METHODS[method].parent
    return (method,) if parent is None else (*lineage(parent), method)


def method_name(method: str, variant: str | None) -> str:
    """A method with its variant, if it has one, as paths and tools name it."""
    return method if variant is None else f"{method}-{variant}"


def method_title(method: str, variant: str | None) -> str:
    """A method with its variant, if it has one, as tables and figures name it."""
    title = METHODS[method].title
    return title if variant is None else f"{title}, {variant.replace('_', ' ')}"
