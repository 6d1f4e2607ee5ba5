"""The preprocessing report: counts and reasons by hand."""

import numpy as np
import pandas as pd

from segtrans.data.store import DOMAINS, FOLDS, StoreHeader, write_store
from segtrans.report.half_slices import write_report

NAMES = ("t1", "t2", "t1c", "flair")


def patient(case_id, grade, fold, present, absent, neither=0):
    return {
        "case_id": case_id,
        "grade": grade,
        "fold": fold,
        "n": {
            "present": present,
            "absent": absent,
            "small_lesion": neither,
            "small_brain": 3,
            "without_brain": 4,
        },
        "lesion_voxels": 10 * present,
        "mean": dict.fromkeys(NAMES, 100.0) | {"flair": 50.0 + present},
        "sd": dict.fromkeys(NAMES, 10.0),
        "sha256": "0" * 64,
    }


PATIENTS = [
    patient("a", "HGG", "test", 2, 5),
    patient("b", "HGG", "train", 3, 6, neither=1),
    patient("c", "LGG", "train", 0, 0),
    patient("d", None, "valid", 1, 8),
    patient("e", "LGG", "train", 4, 7),
]


def make_data(path):
    parameters = {
        "min_brain_fraction": 0.25,
        "min_lesion_fraction": 0.01,
        "normalisation": "per_sequence",
    }
    header = StoreHeader("brats", NAMES, parameters, "five made-up cases.", "0" * 64, 0)
    rng = np.random.default_rng(0)
    with write_store(path, header) as writer:
        for fold in FOLDS:
            for domain in DOMAINS:
                arrays = {"image": rng.normal(size=(3, 4, 24, 12)).astype(np.float16)}
                if domain == "present":
                    arrays["mask"] = (rng.random((3, 24, 12)) > 0.8).astype(np.uint8)
                for name, values in arrays.items():
                    scale = 0.2 if name == "image" else None
                    writer.add(
                        fold, domain, name, shape=values.shape, dtype=values.dtype, scale=scale
                    ).append(values)


def test_the_report_counts_by_fold_and_names_patients_without_half_slices(tmp_path):
    make_data(tmp_path / "brats.h5")
    write_report(PATIENTS, tmp_path / "brats.h5", tmp_path / "report")
    table = pd.read_csv(tmp_path / "report" / "patients.csv", keep_default_na=False)
    assert table["case_id"].tolist() == ["b", "c", "e", "d", "a"]
    assert table["n_present"].tolist() == [3, 0, 4, 1, 2]
    text = (tmp_path / "report" / "report.md").read_text()
    cells = [
        [config.strip() for config in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| t")
    ]
    # Fold, patients, HGG, LGG, P, A, too small a lesion, too little brain, no brain
    assert cells[0] == ["train", "3", "1", "2", "7", "13", "1", "9", "12"]
    assert cells[1] == ["test", "1", "1", "0", "2", "5", "0", "3", "4"]
    assert "Patients without a half-slice in P or A: c." in text
    assert "25%" in text
    flair = next(line for line in text.splitlines() if line.startswith("| flair"))
    assert [word.strip() for word in flair.strip("|").split("|")] == [
        *("flair", "52.0", "50.0", "54.0", "10.0"),
    ]
    assert (tmp_path / "report" / "half_slices.png").read_bytes().startswith(b"\x89PNG")
