#!/usr/bin/env bash
# Snakemake waits for two long jobs, and others are ready: how often does it look for jobs to start?
set -euo pipefail
folder=$(mktemp -d)
trap 'pkill -KILL -P $$ || true; sleep 1; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check snakemake==9.27.1
cd "$folder"
cat > Snakefile <<'SMK'
N = int(config["finished"])
rule all:
    input: expand("quick/{i}", i=range(N)), expand("long/{i}", i=range(20))
rule quick:
    output: "quick/{i}"
    priority: 1
    shell: "touch {output}"
rule long:
    output: "long/{i}"
    shell: "sleep 40; touch {output}"
SMK

looks() { # FINISHED: times a second, once so many jobs have finished and two long ones run
    rm -rf quick long .snakemake
    venv/bin/snakemake --cores 2 --verbose --config finished="$1" > log 2>&1 &
    until [ "$(find quick -type f 2> /dev/null | wc -l)" = "$1" ]; do sleep 0.2; done
    sleep 4
    before=$(grep -c "Ready jobs" log)
    sleep 8
    after=$(grep -c "Ready jobs" log)
    kill -KILL $!
    wait $! 2> /dev/null || true
    echo $(((after - before) / 8))
}

few=$(looks 5)
many=$(looks 60)
echo "snakemake $(venv/bin/snakemake --version)"
echo "looks for jobs $few times a second after 5 have finished, $many times after 60; each time at all that are ready"
if [ "$few" -gt 12 ] || [ "$many" -lt 40 ]; then
    echo "changed: each finished job used to add a look a second until the end" >&2
    exit 1
fi
