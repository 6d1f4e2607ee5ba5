from snakemake.utils import min_version

min_version("9.27")


include: "workflow/rules/common.smk"


rule all:
    input:
        get_final_output(),


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
