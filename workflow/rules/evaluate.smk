rule evaluate:
    input:
        runs=expand("{run}/{name}", run=RUN, name=RUN_FILES),
        data="data/{preset}/{task}.h5",
    output:
        expand("{run}/{name}", run=RUN, name=SCORE_FILES[:-1]),
        report(
            f"{RUN}/panel.png",
            category="Examples",
            subcategory="{task}",
            labels={"method": "{method}", "seed": "{seed}"},
            caption="../report/panel.rst",
        ),
    log:
        "logs/{preset}/{task}/{method}/seed{seed}.evaluate.log",
    benchmark:
        "logs/{preset}/{task}/{method}/seed{seed}.evaluate.benchmark.tsv"
    threads: 1
    params:
        threshold=PARAMS.evaluation.threshold,
        version=EVALUATION_VERSION,
    shell:
        "segtrans evaluate --data {input.data:q} --threshold {params.threshold}"
        " results/{wildcards.preset:q}/{wildcards.task:q}/{wildcards.method:q}/seed{wildcards.seed:q}"
        " > {log:q} 2>&1"


rule table:
    input:
        get_run_files("{preset}", PARAMS.tasks, ["run.json", "metrics.json"]),
    output:
        csv="results/{preset}/table.csv",
        json="results/{preset}/dice.json",
        md=report(
            "results/{preset}/table.md",
            category="Table",
            caption="../report/table.rst",
        ),
    log:
        "logs/{preset}/table.log",
    benchmark:
        "logs/{preset}/table.benchmark.tsv"
    params:
        runs=get_run_folders("{preset}", PARAMS.tasks),
        version=EVALUATION_VERSION,
    shell:
        "segtrans table --output-csv {output.csv:q} --output-md {output.md:q}"
        " --output-json {output.json:q} {params.runs:q}"
        " > {log:q} 2>&1"


rule figures:
    input:
        get_task_runs,
        data="data/{preset}/{task}.h5",
    output:
        TASK_CURVES,
        report(
            expand(
                "results/{{preset}}/figures/{{task}}/{figure}",
                figure=TASK_FIGURES,
            ),
            category="Figures",
            subcategory="{task}",
            caption="../report/figures.rst",
        ),
    log:
        "logs/{preset}/{task}/figures.log",
    benchmark:
        "logs/{preset}/{task}/figures.benchmark.tsv"
    params:
        runs=lambda wildcards: get_run_folders(PRESET, [wildcards.task]),
        version=EVALUATION_VERSION,
    shell:
        "segtrans figures --data {input.data:q}"
        " --output results/{wildcards.preset:q}/figures/{wildcards.task:q} {params.runs:q}"
        " > {log:q} 2>&1"


rule report_page:
    input:
        get_run_files("{preset}", PARAMS.tasks, RUN_FILES + SCORE_FILES),
        expand(
            "results/{{preset}}/figures/{task}/{figure}",
            task=PARAMS.tasks,
            figure=TASK_FIGURES,
        ),
        data=expand("data/{{preset}}/{task}.h5", task=PARAMS.tasks),
    output:
        "results/{preset}/report.html",
    log:
        "logs/{preset}/report_page.log",
    benchmark:
        "logs/{preset}/report_page.benchmark.tsv"
    threads: 1
    params:
        runs=get_run_folders("{preset}", PARAMS.tasks),
        data=get_data_options,
        version=EVALUATION_VERSION,
    shell:
        "segtrans report {params.data:q} --figures results/{wildcards.preset:q}/figures"
        " --output {output:q} {params.runs:q}"
        " > {log:q} 2>&1"


rule track:
    input:
        get_task_results,
    output:
        "results/{preset}/{task}/tracked.json",
    log:
        "logs/{preset}/{task}/track.log",
    benchmark:
        "logs/{preset}/{task}/track.benchmark.tsv"
    params:
        runs=lambda wildcards: get_run_folders(PRESET, [wildcards.task]),
    shell:
        "segtrans track --output results/{wildcards.preset:q}/{wildcards.task:q}/tracked.json"
        " {params.runs:q} > {log:q} 2>&1"


# Asked for where tracked.json says that a server was lost; it writes that file anew.
use rule track as track_again with:
    input:
        get_task_results,
        "results/{preset}/{task}/tracked.json",
    output:
        touch("logs/{preset}/{task}/track_again.{state}"),
    log:
        "logs/{preset}/{task}/track_again.{state}.log",
    benchmark:
        "logs/{preset}/{task}/track_again.{state}.benchmark.tsv"
