rule train:
    input:
        data="data/{preset}/{task}.h5",
    output:
        expand("{run}/{name}", run=RUN, name=RUN_FILES),
    log:
        "logs/{preset}/{task}/{method}/seed{seed}.train.log",
    benchmark:
        "logs/{preset}/{task}/{method}/seed{seed}.train.benchmark.tsv"
    threads: 1
    resources:
        gpu=1,
        mem_mb=get_memory_mb,
    params:
        run_config=get_config,
        variant=get_variant,
    shell:
        # Checkpoints are no output: Snakemake would delete them before a rerun.
        "segtrans train --run-config {params.run_config:q} --data {input.data:q}"
        " --output results/{wildcards.preset:q}/{wildcards.task:q}/{wildcards.method:q}/seed{wildcards.seed:q}"
        " --checkpoints checkpoints/{wildcards.preset:q}/{wildcards.task:q}/{wildcards.method:q}/seed{wildcards.seed:q}"
        " --preset {wildcards.preset:q} {params.variant} --gpus {resources.gpu} --threads {threads} > {log:q} 2>&1"
