"""Work on many things in several processes, in order and in bounded memory."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

from tqdm import tqdm

_JOBS_AT_ONCE = 8  # that a process is given
_WAITING = 4  # of these for each process, so that memory is bounded

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


def in_parallel(
    read: Callable[[_Job], _Result],
    jobs: Sequence[_Job],
    n_processes: int,
    *,
    unit: str = "picture",
    n_at_once: int = _JOBS_AT_ONCE,
) -> Iterator[_Result]:
    """`read` of each job, in order; no more is read ahead than a few jobs for each process.

    Args:
        read: can be sent to another process.
        jobs: what is read.
        n_processes: that read; of 1 this one does.
        unit: what a job is, on the bar.
        n_at_once: jobs that a process is given at a time.
    """
    bar = tqdm(total=len(jobs), unit=unit, disable=None)
    if n_processes == 1:
        for job in jobs:
            yield read(job)
            bar.update()
        return
    blocks = [jobs[n : n + n_at_once] for n in range(0, len(jobs), n_at_once)]
    n_ahead = n_processes * (_WAITING if n_at_once > 1 else 1)
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(n_processes, mp_context=context) as pool:
        waiting: deque[Future[list[_Result]]] = deque()
        for block in [*blocks, *[None] * n_ahead]:
            if block is not None:
                waiting.append(pool.submit(_each, read, block))
            if waiting and (block is None or len(waiting) >= n_ahead):
                for result in waiting.popleft().result():
                    yield result
                    bar.update()


def _each(read: Callable[[_Job], _Result], jobs: Sequence[_Job]) -> list[_Result]:
    return [read(job) for job in jobs]
