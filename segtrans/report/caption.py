"""What stands below a table: what its numbers are, and on which data, preset and seeds."""

from collections.abc import Iterable, Sequence

from segtrans.config.blocks import NetworksParams
from segtrans.config.runs import Run, read_metrics
from segtrans.errors import UserError
from segtrans.report.task_values import differing_values
from segtrans.score.reconstruction import flat_point
from segtrans.score.translates import translation_points
from segtrans.tasks.own_folder import FEW

PAPER_PRESET = "paper"


def caption(runs: Sequence[Run]) -> list[str]:
    """What the numbers are: scores, preset, seeds, labels, data; points of a Markdown list."""
    preset = only_preset(runs)
    thresholds = sorted({read_metrics(run).threshold for run in runs})
    return [
        f"Preset `{preset}`, test fold: mean (standard deviation) over initial seeds. P images "
        "show the target, A images do not.",
        "Dice: overlap of segmentation and mask, 1 at best; soft (of probabilities), pooled over "
        "all pixels of the P images, with the weights of the best validation Dice. Last iteration: "
        f"the same with the last weights. Thresholded at {_joined(thresholds)}: pooled over all "
        "pixels, and the mean over images. False positives: segmented pixels per A image.",
        *_pathologies_point(runs),
        "If mask and segmentation are both empty, Dice is 1; if one of them is, 0.",
        "Targets: connected parts of the masks. Found: the share of which a pixel is segmented. "
        "False: parts of the segmentation that touch none, mean over P and A images.",
        *_patients_point(runs),
        *_phantoms_point(runs),
        *_unlearnt_point(runs),
        *filter(None, [flat_point(runs)]),
        *translation_points(runs),
        *[_task_point([run for run in runs if run.config.task == task]) for task in _tasks(runs)],
        *differing_values(runs),
        f"Data: {_joined(_unique(run.record.data.source for run in runs))}.",
        *filter(None, [paper_point(runs)]),
    ]


def paper_point(runs: Sequence[Run]) -> str | None:
    """What the paper's numbers are to those of a preset; None where no task is the paper's."""
    if not are_of_the_paper(runs):
        return None
    if only_preset(runs) == PAPER_PRESET:
        return "Paper: its Table 1."
    return (
        "Paper: its Table 1, at full scale. This is a reduced scale: the numbers here are no "
        "reproduction of the paper's, which are shown for orientation only."
    )


def are_of_the_paper(runs: Sequence[Run]) -> bool:
    """Whether the task of any run is one of Table 1, so that its number may stand beside."""
    return any(run.config.own_task is None for run in runs)


def _task_point(runs: Sequence[Run]) -> str:
    """Preset and labels of the runs of one task; values that differ between runs are listed."""
    title = runs[0].task_title

    def each(values: Iterable[object]) -> str:
        return _joined(_unique(values))

    configs = [run.config for run in runs]
    counts = [run.record.data.n_train_images for run in runs]
    n_present, n_absent = (
        each(f"{getattr(n, domain):,}" for n in counts) for domain in ("present", "absent")
    )
    labelled = [run.record.labelled for run in runs]
    return (
        f"{title}: seeds {each(config.init_seed for config in configs)}; "
        f"{each(f'{config.training.iterations:,}' for config in configs)} iterations, batches of "
        f"{each(config.training.batch_size for config in configs)} P and as many A images; "
        f"{each(_width(config.networks) for config in configs)}; "
        f"{n_present} P and {n_absent} A images to train on, of which "
        f"{each(n.n_images for n in labelled)} P images are labelled, {labelled_point(runs)}"
        f"{_tested(runs)}."
    )


def _tested(runs: Sequence[Run]) -> str:
    """On how many images of the test fold runs are scored; nothing of metrics that lack it."""
    scores = [read_metrics(run).best["test"] for run in runs]
    present, absent = (
        [int(n) for of in scores if (n := of.get(name)) is not None]
        for name in ("n_images_P", "n_images_A")
    )
    if not (present and absent):
        return ""
    n_present, n_absent = (_joined(_unique(f"{n:,}" for n in of)) for of in (present, absent))
    few = ", so few that scores say little" if min(*present, *absent) < FEW else ""
    return f"; scored on {n_present} P and {n_absent} A images of the test fold{few}"


def _width(networks: NetworksParams) -> str:
    share = f"{networks.width:g} of the paper's channels per layer"
    least = networks.min_channels
    return share if least == 1 else f"{share}, in encoder and decoders at least {least}"


def _pathologies_point(runs: Sequence[Run]) -> list[str]:
    names = list(dict.fromkeys(name for run in runs for name in run.config.maps))
    if not names:
        return []
    return [
        f"Dice, {', '.join(names)}: as Dice, of each pathology by itself, of methods that tell "
        "them apart. For Dice, all are one target, and of their maps the highest counts at each "
        "pixel."
    ]


def _patients_point(runs: Sequence[Run]) -> list[str]:
    if not have_patients(runs):
        return []
    with_patients = (run.config.definition for run in runs if run.config.definition.has_patients)
    images = " and ".join(dict.fromkeys(f"{task.image_name}s" for task in with_patients))
    return [
        f"3D per patient: {images} of P and A put back into volumes, thresholded, mean over "
        f"patients; {images} of neither domain are left out of segmentation and reference. HD95: "
        "95th percentile of the surface distance; both empty is 0 mm, one empty is the diagonal of "
        "the volume."
    ]


def _phantoms_point(runs: Sequence[Run]) -> list[str]:
    if not any(run.has_phantoms for run in runs):
        return []
    return [
        "Phantoms are synthetic: no result on tumours, and nothing that the paper's numbers could "
        "be compared with."
    ]


def _unlearnt_point(runs: Sequence[Run]) -> list[str]:
    """Runs that are scored with the weights they began with: a mean over them says little."""
    names = [
        f"{run.title}, seed {run.config.init_seed} ({run.task_title})"
        for run in runs
        if run.record.best_iteration == 0
    ]
    if not names:
        return []
    return [
        "Not learnt, so scored with the weights it began with, whose validation Dice it never "
        f"passed: {'; '.join(names)}. Its learning curve shows how. Another seed, a lower "
        "learning rate or, where few images validate, more of them may do better."
    ]


def have_patients(runs: Sequence[Run]) -> bool:
    """Whether a task of any run has patients."""
    return any(run.config.definition.has_patients for run in runs)


def labelled_point(runs: Sequence[Run]) -> str:
    """Which P images are labelled, in words that follow their number."""
    if all(run.config.definition.has_own_labels for run in runs):
        return "those with a mask"
    n_units = _joined(_unique(run.record.labelled.n_units for run in runs))
    unit = _joined(_unique(run.record.labelled.unit for run in runs)).replace("_", "-")
    digits = _unique(d for run in runs for d in run.config.labels.digits or ())
    of_classes = f" of class{'' if len(digits) == 1 else 'es'} {_joined(digits)}" if digits else ""
    if of_classes and runs[0].config.definition.pathologies:
        of_classes += ", shown or left out"  # an image of P may show another pathology alone
    drawn = ", another draw for each seed" if runs[0].config.labels.per_seed else ""
    return f"those of {n_units} {unit}{'' if n_units == '1' else 's'}{of_classes}{drawn}"


def only_preset(runs: Sequence[Run]) -> str:
    """The preset that all runs share.

    Raises:
        UserError: they are of different presets.
    """
    presets = _unique(run.record.preset for run in runs)
    if len(presets) > 1:
        raise UserError(f"runs of different presets, {_joined(presets)}: make a table of each")
    return str(presets[0])


def _tasks(runs: Sequence[Run]) -> list[object]:
    return _unique(run.config.task for run in runs)


def _unique(values: Iterable[object]) -> list[object]:
    return list(dict.fromkeys(values))


def _joined(values: Iterable[object]) -> str:
    return ", ".join(str(value).rstrip(".") for value in values)
