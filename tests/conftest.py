"""For all tests: one thread (results do not depend on the machine), no tracking outside."""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.pop("MLFLOW_TRACKING_URI", None)

import hypothesis

# No test fails because a machine is slow.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")
