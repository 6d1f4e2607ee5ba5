PICTURE_REPORT = ["samples.png", "report.md", "pictures.csv"]


rule image_folder:
    output:
        data="data/{preset}/{task}.h5",
        report=report(
            expand("data/{{preset}}/{{task}}_report/{file}", file=PICTURE_REPORT),
            category="Pictures",
            subcategory="{task}",
            caption="../report/pictures.rst",
        ),
    log:
        "logs/{preset}/{task}.log",
    benchmark:
        "logs/{preset}/{task}.benchmark.tsv"
    wildcard_constraints:
        task=tasks_of("image_folder"),
    # Processes that read; no result depends on it.
    threads: 16
    resources:
        mem_mb=lambda wildcards, attempt: get_grown(2000, attempt),
    params:
        folder=get_own_folder,
        files=get_folder_files,
        definition=get_definition,
        data_seed=PARAMS.data_seed,
        version=IMAGE_FOLDER_VERSION,
        store_version=STORE_VERSION,
    shell:
        "segtrans image-folder {params.folder:q} --task {wildcards.task:q} {params.definition:q}"
        " --data-seed {params.data_seed} --processes {threads} --output {output.data:q}"
        " --report data/{wildcards.preset:q}/{wildcards.task:q}_report 2> {log:q}"
