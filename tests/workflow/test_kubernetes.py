"""The Kubernetes profile, against a stand-in for the cluster's interface.

No cluster is at hand. The stand-in is a server on loopback that takes Jobs as a cluster does,
checks what can be checked of them, and runs their commands on this machine.
"""

import json
import os
import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytestmark = pytest.mark.slow
# Added to the stand-in: the first training is killed.
KILL = """
import os
tried = pathlib.Path("tried")
if command == "train" and not tried.exists():
    tried.touch()
    os.kill(os.getpid(), 9)
"""


class Cluster(ThreadingHTTPServer):
    """Runs the commands of Jobs as they come."""

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.jobs, self.processes = folder, {}, {}
        self.environment = dict(os.environ)  # that of the image and the volume

    def start(self, job):
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["image"]
        (mount,) = container["volumeMounts"]
        assert mount["name"] == job["spec"]["template"]["spec"]["volumes"][0]["name"]
        name = job["metadata"]["name"]
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name)
        self.jobs[name] = job
        given = {variable["name"]: variable["value"] for variable in container["env"]}
        with (self.folder / f"{name}.log").open("w") as log:
            self.processes[name] = subprocess.Popen(
                container["command"],
                cwd=container["workingDir"],
                env=self.environment | given,
                stdout=log,
                stderr=log,
            )


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        """Keep the test's output clean."""

    def answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        assert self.path == "/apis/batch/v1/namespaces/default/jobs"
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.start(job)
        self.answer(job)

    def do_GET(self):
        (name,) = re.findall(r"/jobs/([^/]+)/status$", self.path)
        code = self.server.processes[name].poll()
        state = {None: "active", 0: "succeeded"}.get(code, "failed")
        self.answer({"apiVersion": "batch/v1", "kind": "Job", "status": {state: 1}})


@pytest.fixture
def cluster(tmp_path):
    server = Cluster(tmp_path)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
    for process in server.processes.values():
        process.kill()
        process.wait()


def test_jobs_become_kubernetes_jobs_and_a_killed_training_is_tried_again(
    cluster, tmp_path, copy_project, interpreter_with, search_path
):
    project = copy_project(tmp_path / "project")
    python = interpreter_with(after=KILL)
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "c", "cluster": {"server": f"http://127.0.0.1:{cluster.server_port}"}}
        ],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(configuration))
    cluster.environment |= {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "PYTHONPATH": search_path,
    }
    answer = subprocess.run(
        [
            *(python, "-m", "snakemake", "--profile", "profiles/kubernetes"),
            *("--seconds-between-status-checks", "1", "--latency-wait", "5"),
            *("--config", "tasks=[mnist48_simple]", "methods=[translation]", "init_seeds=[0]"),
        ],
        cwd=project,
        env=cluster.environment
        | {"KUBECONFIG": str(tmp_path / "kubeconfig"), "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert (project / "results/laptop/table.csv").exists()
    resources = {
        name: job["spec"]["template"]["spec"]["containers"][0]["resources"]
        for name, job in cluster.jobs.items()
    }
    trainings = [of for name, of in resources.items() if name.startswith("segtrans-train-")]
    assert len(trainings) == 2  # the first one was killed
    first, second = (int(of["limits"]["memory"].removesuffix("M")) for of in trainings)
    assert first > 4000  # CUDA's own, and the estimate
    assert second == pytest.approx(1.5 * first, abs=1)
    for of in trainings:
        limits = {"memory": of["limits"]["memory"], "nvidia.com/gpu": "1"}
        assert of == {"requests": {"cpu": "1"} | limits, "limits": limits}
    others = [of for name, of in resources.items() if "-train-" not in name]
    assert len(others) == 6
    assert not [name for name in cluster.jobs if "digits" in name]  # may be a download
    assert all(of["limits"] == {"memory": "4000M"} for of in others)
