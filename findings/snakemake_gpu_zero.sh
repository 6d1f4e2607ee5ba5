#!/usr/bin/env bash
# `--resources gpu=0`, and jobs that ask for a GPU each: does Snakemake refuse, wait, or run them?
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check snakemake==9.27.1
cat > "$folder/Snakefile" <<'SMK'
rule all:
    input: expand("{n}.txt", n=range(4))
rule train:
    output: "{n}.txt"
    resources: gpu=1
    shell: "date +%s.%N > {output}; echo {resources.gpu} >> {output}; sleep 3; date +%s.%N >> {output}"
SMK
cd "$folder"
for gpus in 1 0; do
  rm -f ./*.txt
  venv/bin/snakemake --quiet all --cores 4 --resources gpu=$gpus > "log$gpus" 2>&1 || { cat "log$gpus"; exit 1; }
  mkdir "with$gpus" && mv ./*.txt "with$gpus"
done
venv/bin/python - <<'PY'
import sys
from importlib.metadata import version
from pathlib import Path

print("snakemake", version("snakemake"))
most = {}
for gpus in (1, 0):
    jobs = [path.read_text().split() for path in Path(f"with{gpus}").glob("*.txt")]
    spans = [(float(begin), float(end)) for begin, _, end in jobs]
    most[gpus] = max(sum(b <= at < e for b, e in spans) for at, _ in spans)
    seen = sorted({asked for _, asked, _ in jobs})
    print(f"gpu={gpus}: {most[gpus]} of 4 jobs at once, resources.gpu in them is {seen}")
is_as_seen = most[1] == 1 and most[0] > 1
sys.exit(0 if is_as_seen else "changed: none used to mean no limit")
PY
