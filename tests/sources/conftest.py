"""Two patients, made once since each takes seconds, and the command line."""

import sys

import pytest

from segtrans import cli
from segtrans.sources.phantom.patients import write_phantoms
from tests.once import made_once


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory):
    """Patients 1, of low grade, and 2, of high grade, of four with seed 0."""

    def make(folder):
        write_phantoms(folder, first=1, last=3, n_patients=4, data_seed=0)

    return made_once(tmp_path_factory, "phantoms", make)


@pytest.fixture
def segtrans(monkeypatch, capsys):
    """A function that calls the command line: exit code, output, errors."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["segtrans", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        errors = [line for line in err.splitlines() if line.startswith("segtrans: error: ")]
        return ended.value.code or 0, out, errors

    return call
