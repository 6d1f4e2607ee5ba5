rule train:
    input:
        data="data/{scale}/{task}.h5",
    output:
        expand("{run}/{name}", run=RUN, name=RUN_FILES),
    log:
        "logs/{scale}/{task}/{method}/seed{seed}.train.log",
    benchmark:
        "logs/{scale}/{task}/{method}/seed{seed}.train.benchmark.tsv"
    threads: 1
    resources:
        gpu=1,
        mem_mb=get_memory_mb,
    params:
        cell=get_cell,
    shell:
        # Checkpoints are no output: Snakemake would delete them before a rerun.
        "segtrans train --cell {params.cell:q} --data {input.data:q}"
        " --output results/{wildcards.scale:q}/{wildcards.task:q}/{wildcards.method:q}/seed{wildcards.seed:q}"
        " --checkpoints checkpoints/{wildcards.scale:q}/{wildcards.task:q}/{wildcards.method:q}/seed{wildcards.seed:q}"
        " --scale {wildcards.scale:q} --gpus {resources.gpu} --threads {threads} > {log:q} 2>&1"
