"""Submit, query and cancel the pipeline's jobs on Kubernetes, for Snakemake's generic executor.

submit JOBSCRIPT: prints the name of the Job made. status NAME: prints running, success or failed.
cancel NAME...: deletes the Jobs with their pods.
"""

import json
import sys
import uuid
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config

TEMPLATE = Path(__file__).with_name("job.yaml")
GPU = "nvidia.com/gpu"


def manifest(job_script: Path) -> dict[str, Any]:
    """The Kubernetes Job that runs a job script of Snakemake's, from the template."""
    lines = job_script.read_text(encoding="utf-8").splitlines()
    (text,) = (line for line in lines if line.startswith("# properties = "))
    properties = json.loads(text.removeprefix("# properties = "))
    resources, rule = properties["resources"], properties.get("rule", "group")
    job: dict[str, Any] = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))
    # Names hold lower-case letters, digits and dashes.
    job["metadata"]["name"] = f"segtrans-{rule.replace('_', '-')}-{uuid.uuid4().hex[:12]}"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    container["command"] = ["sh", str(job_script.resolve())]
    container["workingDir"] = str(Path.cwd())
    limits = {"memory": f"{resources['mem_mb']}M"}
    if resources.get("gpu"):
        limits[GPU] = str(resources["gpu"])
    container["resources"] = {
        "requests": {"cpu": str(properties["threads"])} | limits,
        "limits": limits,
    }
    return job


def main() -> None:
    """Do what the first argument says."""
    action, *arguments = sys.argv[1:]
    try:
        config.load_incluster_config()
    except config.ConfigException:
        config.load_kube_config()
    api = client.BatchV1Api()
    namespace = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))["metadata"]["namespace"]
    if action == "submit":
        job = manifest(Path(arguments[0]))
        api.create_namespaced_job(namespace, job)
        print(job["metadata"]["name"])
    elif action == "status":
        status = api.read_namespaced_job_status(arguments[0], namespace).status
        print("success" if status.succeeded else "failed" if status.failed else "running")
    else:
        for name in arguments:
            api.delete_namespaced_job(name, namespace, propagation_policy="Foreground")


if __name__ == "__main__":
    main()
