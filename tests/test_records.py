"""Records of the data survive without Snakemake's folder, and never replace newer ones."""

from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from segtrans.records import METADATA, restore_records, save_records


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def record(name):
    return METADATA / urlsafe_b64encode(name.encode()).decode()


def write(name, text):
    METADATA.mkdir(parents=True, exist_ok=True)
    record(name).write_text(text)


def test_records_of_the_folder_come_back_and_no_others():
    for name in ("data/mine/a.h5", "data/mine/parts/0.npz", "data/other/a.h5", "results/mine/t"):
        write(name, f'{{"made": "{name}"}}')
    write("data/mine/records.json", "of the file itself")
    save_records(Path("data/mine"), Path("data/mine/records.json"))
    for path in METADATA.iterdir():
        path.unlink()
    restore_records(Path("data/mine/records.json"))
    assert {path.name for path in METADATA.iterdir()} == {
        record("data/mine/a.h5").name,
        record("data/mine/parts/0.npz").name,
    }
    assert record("data/mine/a.h5").read_text() == '{"made": "data/mine/a.h5"}'


def test_a_record_that_is_there_stays():
    write("data/mine/a.h5", "older")
    save_records(Path("data/mine"), Path("data/mine/records.json"))
    write("data/mine/a.h5", "newer")
    restore_records(Path("data/mine/records.json"))
    assert record("data/mine/a.h5").read_text() == "newer"


def test_without_saved_records_nothing_happens():
    restore_records(Path("data/mine/records.json"))
    assert not METADATA.exists()
