#!/usr/bin/env bash
# A run is resumed by its id and logs two steps again, as after a crash: which values does it have?
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mlflow==3.17.2
cd "$folder"
MLFLOW_DISABLE_TELEMETRY=true MLFLOW_TRACKING_URI="sqlite:///$folder/mlflow.db" venv/bin/python 2> log - <<'PY' || { cat log; exit 1; }
import sys
from importlib.metadata import version

import mlflow

with mlflow.start_run() as run:
    for step, loss in ((0, 4.0), (1, 3.0), (2, 2.0)):
        mlflow.log_metric("loss", loss, step=step)
with mlflow.start_run(run_id=run.info.run_id):
    for step, loss in ((1, 3.5), (2, 2.5)):
        mlflow.log_metric("loss", loss, step=step)
history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
found = sorted((point.step, point.value) for point in history)
print("mlflow", version("mlflow"))
print("step and loss:", *found)
is_as_seen = found == [(0, 4.0), (1, 3.0), (1, 3.5), (2, 2.0), (2, 2.5)]
sys.exit(0 if is_as_seen else "changed: a step that was logged twice used to have two values")
PY
