rule train:
    input:
        data="data/{scale}/{task}.h5",
    output:
        expand("{run}/{name}", run=RUN, name=RUN_FILES),
    log:
        "logs/{scale}/{task}/{row}/seed{seed}.train.log",
    benchmark:
        "logs/{scale}/{task}/{row}/seed{seed}.train.benchmark.tsv"
    threads: 1
    resources:
        gpu=1,
        mem_mb=get_memory_mb,
    params:
        cell=get_config,
        variant=get_variant,
    shell:
        # Checkpoints are no output: Snakemake would delete them before a rerun.
        "segtrans train --cell {params.cell:q} --data {input.data:q}"
        " --output results/{wildcards.scale:q}/{wildcards.task:q}/{wildcards.row:q}/seed{wildcards.seed:q}"
        " --checkpoints checkpoints/{wildcards.scale:q}/{wildcards.task:q}/{wildcards.row:q}/seed{wildcards.seed:q}"
        " --scale {wildcards.scale:q} {params.variant} --gpus {resources.gpu} --threads {threads} > {log:q} 2>&1"
