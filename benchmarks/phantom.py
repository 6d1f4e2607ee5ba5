"""Seconds to make up and write one patient, on one core."""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import tempfile
import time
from pathlib import Path

from segtrans.data.phantom import write_phantom

N_PATIENTS = 5


def main() -> None:
    """Print the time of each of some patients; the first one also loads the template."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = []
        for number in range(N_PATIENTS):
            start = time.perf_counter()
            write_phantom(Path(folder), number, data_seed=0)
            seconds.append(time.perf_counter() - start)
    print(f"first, with the template: {seconds[0]:.1f} s")
    print(f"each further patient: {', '.join(f'{s:.1f}' for s in seconds[1:])} s")


if __name__ == "__main__":
    main()
