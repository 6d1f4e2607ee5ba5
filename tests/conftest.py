"""For all tests: one thread (results do not depend on the machine), no tracking outside."""

import os

from hypothesis import settings

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.pop("MLFLOW_TRACKING_URI", None)
# No test fails because a machine is slow.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
