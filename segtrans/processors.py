"""How many processors there are for us."""

import os


def n_processors() -> int:
    """That this process may use; where the system does not tell, all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
