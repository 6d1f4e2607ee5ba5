#!/usr/bin/env bash
# Results without Snakemake's records, as after a clone and a download: is a changed parameter seen?
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check snakemake==9.27.1
cat > "$folder/Snakefile" <<'SMK'
rule train:
    output: "model.txt"
    params: rate=config["rate"]
    shell: "echo {params.rate} > {output}"
SMK
cd "$folder"
run() { venv/bin/snakemake --cores 1 --config rate="$1" -- model.txt > log 2>&1 || { cat log; exit 1; }; cat model.txt; }
venv/bin/python -c 'from importlib.metadata import version; print("snakemake", version("snakemake"))'
run 1 > /dev/null
with=$(run 2)
rm -r .snakemake/metadata
without=$(run 3)
echo "with its records, a new rate of 2 gives a model of $with"
echo "without them, a new rate of 3 leaves the model of $without: $(grep -i "nothing to be done" log || true)"
test "$with" = 2 && test "$without" = 2 || { echo "changed: it used to say that nothing is to be done"; exit 1; }
