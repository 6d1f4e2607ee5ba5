"""Two patients, made once: each takes seconds."""

import pytest

from segtrans.sources.phantom.patients import write_phantoms
from tests.once import made_once


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory):
    """Patients 1, of low grade, and 2, of high grade, of four with seed 0."""

    def make(folder):
        write_phantoms(folder, first=1, last=3, n_patients=4, data_seed=0)

    return made_once(tmp_path_factory, "phantoms", make)
