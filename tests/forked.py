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
import atexit, gc, importlib, json, multiprocessing, os, runpy, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
def run(module, arguments, cwd, env, executable, streams):
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, file in enumerate((os.devnull, *streams)):
        os.dup2(os.open(file, os.O_RDWR), number)
    sys.path[:] = [cwd, *env.get("PYTHONPATH", "").split(os.pathsep), *sys.path[1:]]
    sys.executable, sys.argv = executable, ["", *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
gc.freeze()  # what a collection looks at would be copied for each child
for line in sys.stdin:
    process = multiprocessing.get_context("fork").Process(target=run, kwargs=json.loads(line))
    process.start()
    process.join()
    print(process.exitcode, flush=True)
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
    arguments = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder, name) for name in ("stdout", "stderr")]
        for file in streams:
            file.touch()
        job = {
            "module": module,
            "arguments": arguments,
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "executable": str(executable),
            "streams": [str(file) for file in streams],
        }
        server = _server(imports)
        server.stdin.write(json.dumps(job) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        texts = [file.read_text() for file in streams]
    return subprocess.CompletedProcess([module, *arguments], code, *texts)


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
