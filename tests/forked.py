"""Programs in a process of their own, forked from one that has imported what takes seconds.

`python -m MODULE` as a user starts it, but for the imports: own working directory, environment,
standard streams, exit code; nothing that a test imports or sets is seen.
"""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Reads a job a line and answers each with the exit code.
_SERVER = """\
import importlib, json, os, runpy, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
for line in sys.stdin:
    job = json.loads(line)
    process = os.fork()
    if process:
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        print(code, flush=True)
        continue
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    for number, file in enumerate((os.devnull, job["stdout"], job["stderr"])):
        os.dup2(os.open(file, os.O_RDWR), number)
    sys.path[:] = [job["cwd"], *job["env"].get("PYTHONPATH", "").split(os.pathsep), *sys.path[1:]]
    sys.executable, sys.argv = job["executable"], ["", *job["arguments"]]
    runpy.run_module(job["module"], run_name="__main__", alter_sys=True)
    sys.exit()
"""


def run_forked(module, *arguments, imports, cwd=None, env=None, executable=sys.executable):
    """What `subprocess.run([executable, "-m", module, *arguments], text=True)` gives.

    Args:
        module: with a `__main__`, or to be run as one.
        arguments: of the command line.
        imports: modules that all such calls share; none that reads its folder or environment.
        cwd: the working directory; this process's by default.
        env: the environment; this process's by default.
        executable: what the program takes for its interpreter.
    """
    with tempfile.TemporaryDirectory() as folder:
        streams = {name: Path(folder, name) for name in ("stdout", "stderr")}
        for file in streams.values():
            file.touch()
        job = {
            "module": module,
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "executable": str(executable),
            **{name: str(file) for name, file in streams.items()},
        }
        server = _server(imports)
        server.stdin.write(json.dumps(job) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        texts = {name: file.read_text() for name, file in streams.items()}
    return subprocess.CompletedProcess([module, *job["arguments"]], code, **texts)


@cache
def _server(imports):
    """It ends when its standard input does."""
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, *imports],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    atexit.register(server.communicate)
    return server
