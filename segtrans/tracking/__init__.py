"""MLflow: the only package that imports it, inside functions, since the import takes seconds.

`history.jsonl` in a run folder is the truth of a run; MLflow is a view of it that can be made
again at any time with `track_run`. So a failure here warns on stderr and stops nothing.
"""

from segtrans.tracking.links import LOCAL_PORT, comparison_links, open_pages
from segtrans.tracking.mlflow_run import RunDescription
from segtrans.tracking.replay import track_run, track_runs
from segtrans.tracking.store import tracking_uri
from segtrans.tracking.tracked import is_whole, untracked_line
from segtrans.tracking.tracker import RunTracker, describe_run

__all__ = [
    "LOCAL_PORT",
    "RunDescription",
    "RunTracker",
    "comparison_links",
    "describe_run",
    "is_whole",
    "open_pages",
    "track_run",
    "track_runs",
    "tracking_uri",
    "untracked_line",
]
