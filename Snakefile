from snakemake.utils import min_version

min_version("9.27")


include: "workflow/rules/common.smk"


rule all:
    input:
        get_final_output(),


# `snakemake data`: the data sets alone.
rule data:
    input:
        expand("data/{preset}/{task}.h5", preset=PRESET, task=PARAMS.tasks),
    localrule: True


include: "workflow/rules/cluttered_mnist.smk"
include: "workflow/rules/brats.smk"
include: "workflow/rules/image_folder.smk"
include: "workflow/rules/scan_folder.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"


# What other processes of this Snakemake or another living one work on is not looked at.
if workflow.is_main_process:
    if (reason := claim_preset(PRESET, FOLDERS)) is None:
        check_folders()
    else:
        print(
            f"segtrans: warning: preset {PRESET}: {reason}; whether its files are those of the"
            " parameters was not checked",
            file=sys.stderr,
        )


onstart:
    sign_lock(PRESET)


onsuccess:
    save_folders()
    # Which is no failure, so that nothing else would say it.
    if line := untracked_line(map(Path, get_tracked_files())):
        print(f"segtrans: warning: {line}", file=sys.stderr)


onerror:
    # The one line that says what to do stands in the failed job's log.
    for path in sorted(Path("logs", PRESET).rglob("*.log")):
        if path.stat().st_mtime < START:
            continue
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("segtrans: error:"):
                print(f"{path}: {line}", file=sys.stderr)
    save_folders()
