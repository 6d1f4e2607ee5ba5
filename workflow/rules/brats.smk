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
        version=PHANTOM_VERSION,
    shell:
        "segtrans phantom --n-patients {params.n_patients} --job {wildcards.job:q}"
        " --n-jobs {params.n_jobs} --data-seed {params.data_seed} --output {output.folder:q}"
        " --checksums {output.checksums:q} 2> {log:q}"


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
        "data/{preset}/brats_split.json",
    log:
        "logs/{preset}/brats_split.log",
    benchmark:
        "logs/{preset}/brats_split.benchmark.tsv"
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
        split="data/{preset}/brats_split.json",
    output:
        temp("data/{preset}/half_slices/{job}.npz"),
    log:
        "logs/{preset}/half_slices/{job}.log",
    benchmark:
        "logs/{preset}/half_slices/{job}.benchmark.tsv"
    resources:
        # of one patient, of four sequences in 64 bits at most
        mem_mb=lambda wildcards, attempt: get_grown(1500, attempt),
    params:
        rules=json.dumps(PARAMS.brats.facts),
        sources=get_sources,
        files=get_own_files,
        n_jobs=PARAMS.brats.n_jobs,
        version=HALF_SLICES_VERSION,
    shell:
        "segtrans half-slice-part {params.sources:q} --split {input.split:q}"
        " --job {wildcards.job:q} --n-jobs {params.n_jobs}"
        " --rules {params.rules:q} --output {output:q} 2> {log:q}"


rule brats:
    input:
        split="data/{preset}/brats_split.json",
        parts=expand("data/{{preset}}/half_slices/{job}.npz", job=JOBS),
    output:
        data="data/{preset}/brats.h5",
        report=report(
            expand("data/{{preset}}/brats_report/{file}", file=HALF_SLICE_REPORT),
            category="Half-slices",
            caption="../report/half_slices.rst",
        ),
    log:
        "logs/{preset}/brats.log",
    benchmark:
        "logs/{preset}/brats.benchmark.tsv"
    params:
        store_version=STORE_VERSION,
        # Of its parts, which are gone when it is done: what made them is to be known from it.
        rules=json.dumps(PARAMS.brats.facts),
        sources=get_sources,
        files=get_own_files,
        version=HALF_SLICES_VERSION,
    shell:
        "segtrans merge-half-slices --split {input.split:q} --output {output.data:q}"
        " --report data/{wildcards.preset:q}/brats_report {input.parts:q} 2> {log:q}"
