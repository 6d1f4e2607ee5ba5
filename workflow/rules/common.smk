import hashlib
import json
import os
import sys
import time
from pathlib import Path

from snakemake.resources import Resource

from segtrans.config.catalogue import method_name
from segtrans.config.run_config import resolve_config
from segtrans.config.params import params_of
from segtrans.config.runs import is_run_of_another
from segtrans.config.versions import (
    CLUTTER_VERSION,
    EVALUATION_VERSION,
    FIGURES_VERSION,
    HALF_SLICES_VERSION,
    HALF_VOLUMES_VERSION,
    IMAGE_FOLDER_VERSION,
    PHANTOM_VERSION,
    SCAN_FOLDER_VERSION,
    SPLIT_VERSION,
    STORE_VERSION,
    WHITE_MATTER_VERSION,
)
from segtrans.data.walk import walk_all
from segtrans.errors import UserError, UserErrors
from segtrans.pipeline.ownership import claim_preset, sign_lock
from segtrans.pipeline.preflight import read_preset
from segtrans.pipeline.records import RECORDS, check_records, save_records
from segtrans.sources.cluttered_mnist.idx import idx_files
from segtrans.sources.cluttered_mnist.preflight import MNIST_FOLDER
from segtrans.tracking import is_whole, untracked_line
from segtrans.train.budget.memory import training_memory_mb
from segtrans.train.hardware.device import visible_devices

# Jobs find the command line of this very environment, activated or not.
os.environ["PATH"] = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ["PATH"]]
)

START = time.time()

try:
    PARAMS = read_preset(
        Path("params.yaml"),
        workflow.config_settings.configfiles,
        workflow.config_settings.config_args,
        argv=sys.argv,
    )
except UserError as error:
    for line in error.lines if isinstance(error, UserErrors) else [error]:
        print(f"segtrans: error: {line}", file=sys.stderr)
    raise SystemExit(1) from None

PRESET = PARAMS.preset
# Methods, each with each variant if there are any, by the name that stands in paths.
METHODS_OF = {
    task: {method_name(*pair): pair for pair in PARAMS.methods_of(task)}
    for task in PARAMS.tasks
}
METHODS = {name: pair for pairs in METHODS_OF.values() for name, pair in pairs.items()}
RUN = "results/{preset}/{task}/{method}/seed{seed}"
RUN_FILES = ["run.json", "history.jsonl", "weights.safetensors"]
RUN_FILES += ["weights_last.safetensors", "labelled_ids.json"]
SCORE_FILES = ["metrics.json", "per_image.csv", "per_patient.csv", "panel.png"]
TASK_FIGURES = ["samples.png", "learning_curves.png", "dice.png"]
if all(
    not PARAMS.known_tasks[task].has_own_labels
    and len(
        {
            params_of(PARAMS, task, variant).labels.fraction
            for _, variant in pairs.values()
        }
    )
    > 1
    for task, pairs in METHODS_OF.items()
):
    TASK_FIGURES += ["labels.png"]
TASK_CURVES = "results/{preset}/figures/{task}/learning_curves.csv"
CUDA_MB = 4000  # of the machine's memory, for its libraries
JOBS = range(PARAMS.brats.n_jobs)
# Where this preset's files stand, each with its records.json.
FOLDERS = [Path("data", PRESET), Path("results", PRESET)]
# A folder for each number of patients and jobs: what an earlier run left is in another one.
PATIENTS = f"{PARAMS.brats.n_patients}_in_{PARAMS.brats.n_jobs}"
PATIENTS_WITH_LESIONS = f"{PATIENTS}_with_lesions"


wildcard_constraints:
    preset=PRESET,
    task="|".join(PARAMS.tasks),
    method="|".join(METHODS),
    seed=r"\d+",
    job=r"\d+",
    state=r"\d+",
    patients=f"{PATIENTS}|{PATIENTS_WITH_LESIONS}",


# Who forgets --resources gpu=N gets one job per visible device; without a device, jobs ask for
# none and are limited by cores.
if "gpu" not in workflow.global_resources:
    n_devices = len(visible_devices())
    workflow.global_resources["gpu"] = Resource("gpu", n_devices)
# And who forgets the memory gets this machine's.
if "mem_mb" not in workflow.global_resources:
    n_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    workflow.global_resources["mem_mb"] = Resource("mem_mb", n_bytes // 10**6)


def is_output(path):
    """Whether a rule makes this file, and it alone: tracked.json is written again and again."""
    rules = [rule for rule in workflow.rules if rule.name != "track"]
    return any(output.match(path) for rule in rules for output in rule.output)


def get_other_runs():
    """By run.json, the run configuration asked for there, where the run is of another."""
    others = {}
    for task in PARAMS.tasks:
        for name, (method, variant) in METHODS_OF[task].items():
            for seed in PARAMS.init_seeds:
                folder = Path(
                    RUN.format(preset=PRESET, task=task, method=name, seed=seed)
                )
                if (folder / "run.json").is_file():
                    resolved = resolve_config(
                        PARAMS,
                        task=task,
                        method=method,
                        init_seed=seed,
                        variant=variant,
                    )
                    if is_run_of_another(folder, resolved):
                        others[str(folder / "run.json")] = resolved.to_json()
    return others


def check_folders():
    """Believe what stands in the preset's folders only with a record of its content."""
    others = get_other_runs()
    checked = check_records(FOLDERS, is_output, others)
    for folder, (paths, problem) in zip(FOLDERS, checked):
        if problem:
            print(
                f"segtrans: {folder / RECORDS}: {problem}; it is written anew at the end, and what"
                " it alone would vouch for is made again when it is asked for",
                file=sys.stderr,
            )
        if paths:
            other = next((path for path in paths if path in others), None)
            print(
                f"segtrans: {folder}: no record says what made {paths[0]}"
                + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
                + ", or it was changed since; what is asked for is made again"
                + (
                    f" ({other} is a run of other parameters)"
                    if other
                    else f" (to take it as it is: snakemake --touch {paths[0]})"
                ),
                file=sys.stderr,
            )


def save_folders():
    """Keep the records where the files are."""
    for folder in FOLDERS:
        save_records(folder, is_output)


def resolve(wildcards):
    """The run configuration of one training run."""
    method, variant = METHODS[wildcards.method]
    return resolve_config(
        PARAMS,
        task=wildcards.task,
        method=method,
        init_seed=int(wildcards.seed),
        variant=variant,
    )


def get_config(wildcards):
    """The resolved science of one training run, as JSON: a change of it, and only that, retrains."""
    return resolve(wildcards).to_json()


def get_variant(wildcards):
    """The option that names the variant of a run, if it has one."""
    _, variant = METHODS[wildcards.method]
    return f"--variant {variant}" if variant else ""


def get_grown(memory_mb, attempt):
    """What to ask for at a retry: a job that was killed may have needed more."""
    return round(memory_mb * min(1 + (attempt - 1) / 2, 3))


def get_memory_mb(wildcards, attempt):
    """What a training is expected to need at most, with CUDA's own where there are GPUs."""
    cuda_mb = CUDA_MB if workflow.global_resources["gpu"].value else 0
    return get_grown(training_memory_mb(resolve(wildcards), PARAMS) + cuda_mb, attempt)


def get_digits_source(wildcards):
    """What `segtrans digits` reads: a name, or the folder of the four IDX files."""
    digits = PARAMS.digits
    return digits.directory if digits.source == "directory" else digits.source


def get_idx_files(wildcards):
    """The user's own IDX files: other digits make other data."""
    folder = PARAMS.digits.directory if PARAMS.digits.source == "directory" else None
    try:
        return [str(path) for path in idx_files(Path(folder))] if folder else []
    except UserError:
        return []  # the job says it in one line


def tasks_of(*kinds):
    """A pattern of the names of all tasks of some kinds, chosen or not."""
    names = [name for name, task in PARAMS.known_tasks.items() if task.kind in kinds]
    return "|".join(names) or "(?!)"  # which matches nothing


def get_definition(wildcards):
    """The options that say what a task of the user's own is."""
    definition = PARAMS.data_sets.get(wildcards.task)
    return ["--definition", definition.model_dump_json()] if definition else []


def get_digest(files):
    """What changes when a file is another one, without reading it."""
    facts = [
        (str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files
    ]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def get_own_folder(wildcards):
    """The folder of a task's pictures or scans."""
    return PARAMS.data_sets[wildcards.task].directory


def get_folder_files(wildcards):
    """Names, sizes and times of all that lies in that folder: other files make other data."""
    try:
        return get_digest(walk_all(Path(get_own_folder(wildcards))).files)
    except UserError as error:
        return str(error)  # the job says it in one line


def get_run_folders(preset, tasks):
    """The folders of every run of these tasks, methods within tasks and seeds within methods."""
    return [
        folder
        for task in tasks
        for folder in expand(
            RUN,
            preset=preset,
            task=task,
            method=METHODS_OF[task],
            seed=PARAMS.init_seeds,
        )
    ]


def get_run_files(preset, tasks, names):
    """These files of every run of these tasks."""
    return expand("{folder}/{name}", folder=get_run_folders(preset, tasks), name=names)


def get_task_runs(wildcards):
    """What the figures of one task are drawn from."""
    return get_run_files(
        PRESET, [wildcards.task], ["run.json", "history.jsonl", "metrics.json"]
    )


def get_task_results(wildcards):
    """Everything of one task that goes to the tracking store."""
    return get_run_files(PRESET, [wildcards.task], RUN_FILES + SCORE_FILES)


def get_data_options(wildcards, input):
    """The option that names a data set, once for each."""
    return [part for path in input.data for part in ("--data", path)]


def get_final_output():
    """The table, the page, the figures of every task, and the tracked runs."""
    return (
        expand(
            "results/{preset}/{name}",
            preset=PRESET,
            name=["table.md", "table.csv", "report.html"],
        )
        + expand(
            "results/{preset}/figures/{task}/{figure}",
            preset=PRESET,
            task=PARAMS.tasks,
            figure=TASK_FIGURES,
        )
        + get_tracked_files()
        + get_tracking_to_retry()
    )


def get_tracked_files():
    """Where the rule `track` notes what it tracked."""
    return expand(
        "results/{preset}/{task}/tracked.json", preset=PRESET, task=PARAMS.tasks
    )


def get_tracking_to_retry():
    """A file to ask for where a lost server left runs out, which is no reason for a run to fail.

    Another one after each try: what Snakemake knows of an earlier one says nothing of the next.
    """
    missed = [
        path
        for path in map(Path, get_tracked_files())
        if path.exists() and not is_whole(path)
    ]
    return [
        f"logs/{PRESET}/{path.parent.name}/track_again.{path.stat().st_mtime_ns}"
        for path in missed
    ]
