SCAN_REPORT = ["samples.png", "report.md", "cases.csv"]


rule scan_folder:
    output:
        data="data/{preset}/{task}.h5",
        report=report(
            expand("data/{{preset}}/{{task}}_report/{file}", file=SCAN_REPORT),
            category="Scans",
            subcategory="{task}",
            caption="../report/scans.rst",
        ),
    log:
        "logs/{preset}/{task}.log",
    benchmark:
        "logs/{preset}/{task}.benchmark.tsv"
    wildcard_constraints:
        task=tasks_of("scan_folder"),
    # Processes that read, each a scan at a time; no result depends on it.
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: get_grown(4000, attempt),
    params:
        folder=get_own_folder,
        files=get_folder_files,
        definition=get_definition,
        data_seed=PARAMS.data_seed,
        version=SCAN_FOLDER_VERSION,
        store_version=STORE_VERSION,
    shell:
        "segtrans scan-folder {params.folder:q} --task {wildcards.task:q} {params.definition:q}"
        " --data-seed {params.data_seed} --processes {threads} --output {output.data:q}"
        " --report data/{wildcards.preset:q}/{wildcards.task:q}_report 2> {log:q}"
