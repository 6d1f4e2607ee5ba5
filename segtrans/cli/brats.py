"""Commands that make the data set `brats`: cases, split, half-slices."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segtrans.cli.command import Commands, file_to_write, folder_to_write
from segtrans.cli.options import DataSeed, Output, allowed_by

if TYPE_CHECKING:
    from segtrans.tasks.parameters import HalfSliceRules

commands = Commands()

Source = Annotated[
    Path, typer.Option(help="Folder with the cases: BraTS of any year, or the Decathlon.")
]
Sources = Annotated[
    list[Path],
    typer.Option(
        "--source",
        help="Folder with the cases: BraTS of any year, or the Decathlon. Can be given repeatedly.",
    ),
]
Split = Annotated[Path, typer.Option(help="Split file, written by `split`.")]
_SHARE = "Share of the patients, between 0 and 1."
ValidFraction = Annotated[
    float, typer.Option(callback=allowed_by("BratsParams", "valid_fraction"), help=_SHARE)
]
TestFraction = Annotated[
    float, typer.Option(callback=allowed_by("BratsParams", "test_fraction"), help=_SHARE)
]
Rotation = Annotated[int, typer.Option(min=0, help="k: the k-th part of a cross-validation.")]
Job = Annotated[int, typer.Option(min=0, help="Number of this job, from 0.")]
NJobs = Annotated[int, typer.Option(min=1, help="Jobs that share the patients.")]
Rules = Annotated[
    str,
    typer.Option(
        help="What becomes a half-slice: JSON with the keys min_brain_fraction, "
        "min_lesion_fraction, normalisation, mirror_right and label_classes, as in the block brats "
        "of the parameters; keys that are left out are as in the paper."
    ),
]
TaskName = Annotated[str, typer.Option(help="Name of the data set.")]
Definition = Annotated[
    str | None, typer.Option(help="JSON of the entry in data_sets, for a task of your own.")
]
Report = Annotated[
    Path,
    typer.Option(
        help="Folder for the report: counts, reasons, a picture.", callback=folder_to_write
    ),
]


@commands.command()
def phantom(
    output: Annotated[
        Path, typer.Option(help="Folder to write the phantoms to.", callback=folder_to_write)
    ],
    n_patients: Annotated[int, typer.Option(min=1, help="Number of phantoms, over all jobs.")],
    job: Job = 0,
    n_jobs: NJobs = 1,
    data_seed: DataSeed = 0,
    checksums: Annotated[
        Path | None,
        typer.Option(help="File to list the SHA-256 of each file in.", callback=file_to_write),
    ] = None,
    white_matter_lesions: Annotated[
        bool, typer.Option("--white-matter-lesions", help="With spots in white matter too.")
    ] = False,
) -> None:
    """Make synthetic phantoms from a real average brain, as BraTS 2017 files; needs no network."""
    from segtrans.sources.phantom.patients import write_checksums, write_phantoms

    first, last = (n_patients * number // n_jobs for number in (job, job + 1))
    write_phantoms(
        output,
        first=first,
        last=last,
        n_patients=n_patients,
        data_seed=data_seed,
        white_matter_lesions=white_matter_lesions,
    )
    if checksums is not None:
        write_checksums(output, checksums)


@commands.command()
def decathlon(
    output: Annotated[
        Path, typer.Option(help="Folder to write the cases to.", callback=folder_to_write)
    ],
    downloads: Annotated[
        Path, typer.Option(help="Folder to keep the archive in.", callback=folder_to_write)
    ] = Path("data/downloads/decathlon"),
) -> None:
    """Download, check and unpack the Medical Segmentation Decathlon's brain tumours (7.6 GB)."""
    from segtrans.sources.brats.msd import fetch_msd

    fetch_msd(output, downloads=downloads)


@commands.command()
def split(
    sources: Sources,
    output: Output,
    valid_fraction: ValidFraction = 0.1,
    test_fraction: TestFraction = 0.1,
    rotation: Rotation = 0,
    data_seed: DataSeed = 0,
) -> None:
    """Find the cases, and split the patients into train, valid and test."""
    from segtrans.sources.brats.data_set import write_split

    write_split(
        sources,
        output,
        valid_fraction=valid_fraction,
        test_fraction=test_fraction,
        rotation=rotation,
        data_seed=data_seed,
    )


@commands.command()
def half_slice_part(
    sources: Sources,
    split: Split,
    output: Output,
    job: Job,
    n_jobs: NJobs,
    rules: Rules = "{}",
    definition: Definition = None,
) -> None:
    """Make the half-slices of some of the patients: one of several parallel jobs."""
    from segtrans.sources.brats.data_set import write_part

    write_part(
        sources,
        split,
        output,
        rules=_read_rules(rules),
        job=job,
        n_jobs=n_jobs,
        pathologies=_read_pathologies(definition),
    )


@commands.command()
def merge_half_slices(
    parts: Annotated[list[Path], typer.Argument(help="Files of `half-slice-part`, in order.")],
    split: Split,
    output: Output,
    report: Report,
    task: TaskName = "brats",
) -> None:
    """Merge the parts of all patients into one data set, and report on it."""
    from segtrans.report.half_slices import write_report
    from segtrans.sources.brats.merge import merge_parts

    write_report(merge_parts(parts, split, output, task=task), output, report)


@commands.command()
def half_slices(
    source: Source,
    output: Output,
    report: Report,
    split: Annotated[
        Path | None,
        typer.Option(help="Split file; without one, patients are split 80 / 10 / 10 %."),
    ] = None,
    rules: Rules = "{}",
    data_seed: DataSeed = 0,
    task: TaskName = "brats",
    definition: Definition = None,
) -> None:
    """Make a data set of half-slices (P and A) from a folder of cases, and report on it."""
    from segtrans.report.half_slices import write_report
    from segtrans.sources.brats.data_set import write_half_slices

    patients = write_half_slices(
        source,
        output,
        rules=_read_rules(rules),
        split=split,
        split_copy=report / "split.json",
        data_seed=data_seed,
        task=task,
        pathologies=_read_pathologies(definition),
    )
    write_report(patients, output, report)


@commands.command()
def half_volumes(
    sources: Sources,
    split: Split,
    output: Output,
    definition: Annotated[str, typer.Option(help="JSON of the entry in data_sets: the grid.")],
    task: TaskName,
    rules: Rules = "{}",
) -> None:
    """Make a data set of half-volumes (P and A) on a reduced grid, for networks in 3D."""
    from segtrans.config.refusals import parse_object, validate
    from segtrans.sources.brats.volume_set import write_half_volumes
    from segtrans.tasks.half_volumes import HalfVolumes

    content = parse_object(definition, origin="--definition")
    write_half_volumes(
        sources,
        split,
        output,
        rules=_read_rules(rules),
        task=validate(HalfVolumes, content, origin="--definition"),
        name=task,
    )


def _read_rules(text: str) -> "HalfSliceRules":
    from segtrans.config.refusals import parse_object, validate
    from segtrans.tasks.parameters import HalfSliceRules

    return validate(HalfSliceRules, parse_object(text, origin="--rules"), origin="--rules")


def _read_pathologies(definition: str | None) -> tuple[str, ...]:
    if definition is None:
        return ()
    from segtrans.config.refusals import parse_object, validate
    from segtrans.tasks.half_slices import HalfSlices

    content = parse_object(definition, origin="--definition")
    return validate(HalfSlices, content, origin="--definition").pathologies
