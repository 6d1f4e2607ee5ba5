rule digits:
    input:
        get_idx_files,
    output:
        "data/{preset}/digits.npz",
    log:
        "logs/{preset}/digits.log",
    benchmark:
        "logs/{preset}/digits.benchmark.tsv"
    # Compute nodes have no internet, and the source can be a download.
    localrule: True
    params:
        source=get_digits_source,
        downloads=str(MNIST_FOLDER),
    shell:
        "segtrans digits --source {params.source:q} --downloads {params.downloads:q}"
        " --output {output:q} 2> {log:q}"


rule cluttered_mnist:
    input:
        "data/{preset}/digits.npz",
    output:
        "data/{preset}/{task}.h5",
    log:
        "logs/{preset}/{task}.log",
    benchmark:
        "logs/{preset}/{task}.benchmark.tsv"
    wildcard_constraints:
        task=tasks_of("cluttered_mnist"),
    params:
        definition=get_definition,
        n_digits=[PARAMS.digits.n_train, PARAMS.digits.n_valid, PARAMS.digits.n_test],
        n_images=[
            PARAMS.cluttered_mnist.n_train_images,
            PARAMS.cluttered_mnist.n_valid_images,
            PARAMS.cluttered_mnist.n_test_images,
        ],
        overlap=PARAMS.cluttered_mnist.overlap,
        noise_sd=PARAMS.cluttered_mnist.noise_sd,
        data_seed=PARAMS.data_seed,
        version=lambda wildcards: (
            [CLUTTER_VERSION, FIGURES_VERSION]
            if PARAMS.known_tasks[wildcards.task].figures
            else CLUTTER_VERSION
        ),
        store_version=STORE_VERSION,
    shell:
        "segtrans cluttered-mnist --task {wildcards.task:q} --digits {input:q}"
        " --n-digits {params.n_digits} --n-images {params.n_images}"
        " --overlap {params.overlap:q} --noise-sd {params.noise_sd}"
        " --data-seed {params.data_seed} {params.definition:q} --output {output:q} 2> {log:q}"
