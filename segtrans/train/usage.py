"""What a training takes: memory at its peak, and energy where the machine counts it."""

import resource
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypedDict

import torch

# Linux counts what each processor package has taken, in microjoules, in most cases for root only.
POWERCAP = Path("/sys/class/powercap")
STATUS = Path("/proc/self/status")
_J_PER_WH = 3600.0


class Usage(TypedDict):
    """Of a process, or of all that shared in a training one after another.

    Attributes:
        peak_memory_mb: largest resident memory of the process, MB.
        gpu_peak_memory_mb: largest memory of tensors on its GPU, MB; None on a CPU.
        energy_wh: of the machine's processors in that time, with all else that ran on them; None
            where it cannot be read, and on a GPU, whose share it lacks.
    """

    peak_memory_mb: float
    gpu_peak_memory_mb: float | None
    energy_wh: float | None


class UsageMeter:
    """Counts from its making on; to be read at least once in half an hour, as counters start over.

    Args:
        device: that trains.
        powercap: folder of the processors' counters.
        status: what Linux says of this process.
    """

    def __init__(
        self, device: torch.device, *, powercap: Path = POWERCAP, status: Path = STATUS
    ) -> None:
        self._device = device
        self._status = status
        folders = [] if device.type == "cuda" else sorted(powercap.glob("intel-rapl:*"))
        self._packages = [_Package(folder) for folder in folders if _is_package(folder)]

    def read(self) -> Usage:
        """What was taken so far."""
        gpu = None
        if self._device.type == "cuda":
            gpu = round(torch.cuda.max_memory_allocated(self._device) / 1e6, 1)
        joules = _sum([package.joules() for package in self._packages])
        return {
            "peak_memory_mb": round(_peak_bytes(self._status) / 1e6, 1),
            "gpu_peak_memory_mb": gpu,
            "energy_wh": None if joules is None else round(joules / _J_PER_WH, 3),
        }


class _Package:
    """The counter of one processor package, which starts over at its largest value."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._joules = 0.0
        self._last = self._read("energy_uj")

    def joules(self) -> float | None:
        """Since this was made; None when the counter cannot be read."""
        now, range_uj = self._read("energy_uj"), self._read("max_energy_range_uj")
        if self._last is None or now is None or range_uj is None:
            return None
        self._joules += (now - self._last + (range_uj if now < self._last else 0)) / 1e6
        self._last = now
        return self._joules

    def _read(self, name: str) -> int | None:
        try:
            return int((self._folder / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None


def _is_package(folder: Path) -> bool:
    """Parts of packages and, on laptops, the whole platform ("psys") would count it once more."""
    try:
        return (folder / "name").read_text(encoding="ascii").startswith("package")
    except (OSError, ValueError):
        return False


def joint_usage(usages: Iterable[Usage | None]) -> Usage | None:
    """Of processes that trained one after another: the largest memory, the sum of the energy.

    Args:
        usages: None for a process of which it was not kept; the energy is then not known.

    Returns:
        None when it was kept of no process.
    """
    every = list(usages)
    kept = [usage for usage in every if usage is not None]
    if not kept:
        return None
    gpu = [usage["gpu_peak_memory_mb"] for usage in kept]
    return {
        "peak_memory_mb": max(usage["peak_memory_mb"] for usage in kept),
        "gpu_peak_memory_mb": max((mb for mb in gpu if mb is not None), default=None),
        "energy_wh": _sum([None if usage is None else usage["energy_wh"] for usage in every]),
    }


def _sum(values: Sequence[float | None]) -> float | None:
    """None when one is not known, or there is none."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _peak_bytes(status: Path) -> int:
    # On Linux getrusage also counts the process that started this one.
    if kilobytes := _high_water_kb(status):
        return kilobytes * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _high_water_kb(status: Path) -> int | None:
    """None where there is no such file (macOS), or the kernel keeps no such line (gVisor)."""
    try:
        lines = status.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)
