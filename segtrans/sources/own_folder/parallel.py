"""Work on many things at once, in order and in bounded memory."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

_WAITING = 4  # pictures for each thread, read or being read, so that memory is bounded

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


def in_threads(
    read: Callable[[_Job], _Result], jobs: Sequence[_Job], n_threads: int
) -> Iterator[_Result]:
    """`read` of each picture, in order; no more is read ahead than a few for each thread.

    Decoders, Pillow and NumPy let other threads run meanwhile, and processes would have to import
    all of it first.

    Args:
        read: called from several threads.
        jobs: the pictures.
        n_threads: that read.
    """
    with ThreadPoolExecutor(n_threads) as pool:
        yield from _in_order(pool, read, jobs, n_threads * _WAITING, unit="picture")


def in_processes(
    read: Callable[[_Job], _Result], jobs: Sequence[_Job], n_processes: int
) -> Iterator[_Result]:
    """`read` of each scan, in order; no more is read ahead than one for each process.

    Args:
        read: can be sent to another process.
        jobs: the scans.
        n_processes: that read; of 1 this one does.
    """
    if n_processes == 1:
        yield from map(read, tqdm(jobs, unit="scan", disable=None))
        return
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(n_processes, mp_context=context) as pool:
        yield from _in_order(pool, read, jobs, n_processes, unit="scan")


def _in_order(
    pool: Executor,
    read: Callable[[_Job], _Result],
    jobs: Sequence[_Job],
    n_ahead: int,
    *,
    unit: str,
) -> Iterator[_Result]:
    waiting: deque[Future[_Result]] = deque()
    with tqdm(total=len(jobs), unit=unit, disable=None) as bar:
        for job in jobs:
            waiting.append(pool.submit(read, job))
            if len(waiting) >= n_ahead:
                yield waiting.popleft().result()
                bar.update()
        while waiting:
            yield waiting.popleft().result()
            bar.update()
