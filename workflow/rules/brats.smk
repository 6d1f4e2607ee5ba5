from segtrans.sources.scans.cases import source_files

DECATHLON = "data/downloads/decathlon/Task01_BrainTumour"


def get_phantoms(wildcards):
    """The folder of the phantoms of a task: those with white-matter lesions are others."""
    has_lesions = PARAMS.known_tasks[wildcards.task].white_matter_lesions
    patients = PATIENTS_WITH_LESIONS if has_lesions else PATIENTS
    return f"data/{PRESET}/phantom/{patients}"


def get_sources(wildcards):
    """The options that name where the cases of half-slices lie: folders that were made, no other."""
    folders = {
        "phantom": [f"{get_phantoms(wildcards)}/{job}" for job in JOBS],
        "msd": [DECATHLON],
        "directory": [PARAMS.brats.directory],
    }
    return [
        part for folder in folders[PARAMS.brats.source] for part in ("--source", folder)
    ]


def get_cases(wildcards):
    """What stands for the cases that a rule makes; the user's own are no rule's output."""
    if PARAMS.brats.source == "phantom":
        return expand(f"{get_phantoms(wildcards)}/{{job}}.sha256", job=JOBS)
    return [DECATHLON] if PARAMS.brats.source == "msd" else []


def get_own_files(wildcards):
    """Names, sizes and times of the user's own files: other cases make other data."""
    if PARAMS.brats.source != "directory":
        return ""
    try:
        files = source_files(Path(PARAMS.brats.directory))
    except UserError as error:
        return str(error)  # the job says it in one line
    return get_digest(files)


HALF_SLICE_REPORT = ["half_slices.png", "report.md", "patients.csv"]


rule phantom:
    output:
        folder=directory("data/{preset}/phantom/{patients}/{job}"),
        # What other rules read: only a file, and no folder, is compared by its checksum.
        checksums="data/{preset}/phantom/{patients}/{job}.sha256",
    log:
        "logs/{preset}/phantom/{patients}/{job}.log",
    benchmark:
        "logs/{preset}/phantom/{patients}/{job}.benchmark.tsv"
    params:
        n_patients=PARAMS.brats.n_patients,
        n_jobs=PARAMS.brats.n_jobs,
        data_seed=PARAMS.data_seed,
        lesions=lambda wildcards: (
            "--white-matter-lesions"
            if wildcards.patients == PATIENTS_WITH_LESIONS
            else ""
        ),
        version=lambda wildcards: (
            [PHANTOM_VERSION, WHITE_MATTER_VERSION]
            if wildcards.patients == PATIENTS_WITH_LESIONS
            else PHANTOM_VERSION
        ),
    shell:
        "segtrans phantom --n-patients {params.n_patients} --job {wildcards.job:q}"
        " --n-jobs {params.n_jobs} --data-seed {params.data_seed} --output {output.folder:q}"
        " {params.lesions} --checksums {output.checksums:q} 2> {log:q}"


rule decathlon:
    output:
        directory(DECATHLON),
    log:
        "logs/decathlon.log",
    benchmark:
        "logs/decathlon.benchmark.tsv"
    # Compute nodes have no internet.
    localrule: True
    params:
        downloads="data/downloads/decathlon",
    shell:
        "segtrans decathlon --downloads {params.downloads:q} --output {output:q} 2> {log:q}"


rule split:
    input:
        get_cases,
    output:
        "data/{preset}/{task}_split.json",
    log:
        "logs/{preset}/{task}_split.log",
    benchmark:
        "logs/{preset}/{task}_split.benchmark.tsv"
    wildcard_constraints:
        task=tasks_of("half_slices", "half_volumes"),
    params:
        sources=get_sources,
        files=get_own_files,
        valid_fraction=PARAMS.brats.valid_fraction,
        test_fraction=PARAMS.brats.test_fraction,
        rotation=PARAMS.brats.rotation,
        data_seed=PARAMS.data_seed,
        version=SPLIT_VERSION,
    shell:
        "segtrans split {params.sources:q} --valid-fraction {params.valid_fraction}"
        " --test-fraction {params.test_fraction} --rotation {params.rotation}"
        " --data-seed {params.data_seed} --output {output:q} 2> {log:q}"


rule half_slice_part:
    input:
        get_cases,
        split="data/{preset}/{task}_split.json",
    output:
        temp("data/{preset}/half_slices/{task}/{job}.npz"),
    log:
        "logs/{preset}/half_slices/{task}/{job}.log",
    benchmark:
        "logs/{preset}/half_slices/{task}/{job}.benchmark.tsv"
    wildcard_constraints:
        task=tasks_of("half_slices"),
    resources:
        # of one patient, of four sequences in 64 bits at most
        mem_mb=lambda wildcards, attempt: get_grown(1500, attempt),
    params:
        rules=json.dumps(PARAMS.brats.facts),
        sources=get_sources,
        files=get_own_files,
        definition=get_definition,
        n_jobs=PARAMS.brats.n_jobs,
        version=HALF_SLICES_VERSION,
    shell:
        "segtrans half-slice-part {params.sources:q} --split {input.split:q}"
        " --job {wildcards.job:q} --n-jobs {params.n_jobs}"
        " --rules {params.rules:q} {params.definition:q} --output {output:q} 2> {log:q}"


rule brats:
    input:
        split="data/{preset}/{task}_split.json",
        parts=expand("data/{{preset}}/half_slices/{{task}}/{job}.npz", job=JOBS),
    output:
        data="data/{preset}/{task}.h5",
        report=report(
            expand("data/{{preset}}/{{task}}_report/{file}", file=HALF_SLICE_REPORT),
            category="Half-slices",
            caption="../report/half_slices.rst",
        ),
    log:
        "logs/{preset}/{task}.log",
    benchmark:
        "logs/{preset}/{task}.benchmark.tsv"
    wildcard_constraints:
        task=tasks_of("half_slices"),
    params:
        store_version=STORE_VERSION,
        # Of its parts, which are gone when it is done: what made them is to be known from it.
        rules=json.dumps(PARAMS.brats.facts),
        sources=get_sources,
        files=get_own_files,
        definition=get_definition,
        version=HALF_SLICES_VERSION,
    shell:
        "segtrans merge-half-slices --task {wildcards.task:q} --split {input.split:q}"
        " --output {output.data:q} --report data/{wildcards.preset:q}/{wildcards.task:q}_report {input.parts:q} 2> {log:q}"


rule half_volumes:
    input:
        get_cases,
        split="data/{preset}/{task}_split.json",
    output:
        "data/{preset}/{task}.h5",
    log:
        "logs/{preset}/{task}.log",
    benchmark:
        "logs/{preset}/{task}.benchmark.tsv"
    wildcard_constraints:
        task=tasks_of("half_volumes"),
    resources:
        # of one patient, as above, and of the half-volumes of all
        mem_mb=lambda wildcards, attempt: get_grown(3000, attempt),
    params:
        rules=json.dumps(PARAMS.brats.facts),
        sources=get_sources,
        files=get_own_files,
        definition=get_definition,
        version=[STORE_VERSION, HALF_VOLUMES_VERSION],
    shell:
        "segtrans half-volumes {params.sources:q} --split {input.split:q}"
        " --task {wildcards.task:q} --rules {params.rules:q} {params.definition:q}"
        " --output {output:q} 2> {log:q}"
