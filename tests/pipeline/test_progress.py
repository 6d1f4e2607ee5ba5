"""What `segtrans fit` says of trainings, from their logs."""

import os
import time

import pytest

from segtrans.pipeline import progress
from segtrans.pipeline.progress import Trainings


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "_POLL_S", 0.01)
    return tmp_path / "seed0.train.log"


def wait_for(said, n):
    deadline = time.monotonic() + 20
    while len(said) < n:
        assert time.monotonic() < deadline, said
        time.sleep(0.01)


def test_lines_of_a_log_are_told_as_they_come(log):
    said = []
    trainings = Trainings(1000)
    with trainings.told(said.append):
        trainings.add("translation", log)
        log.write_text("iteration 10: valid dice 0.1234 rec=1\niteration 20: valid dice 0.2")
        wait_for(said, 1)
        assert said[0].startswith("translation: iteration 10 of 1,000, validation Dice 0.12, ")
        with log.open("a") as file:
            file.write("345 rec=1\niteration 1000: valid dice 0.5 rec=1\n")
        wait_for(said, 2)
    assert said[1:] == ["translation: iteration 1,000 of 1,000, validation Dice 0.50"]


def test_what_comes_too_soon_is_told_together_and_the_last_line_always(log):
    said = []
    trainings = Trainings(30)
    with trainings.told(said.append):
        trainings.add("autoencoder", log)
        for iteration in (10, 20, 30):
            with log.open("a") as file:
                file.write(f"iteration {iteration}: valid dice 0.5\n")
            if iteration == 10:
                wait_for(said, 1)
    assert [line.split(",")[0] for line in said] == [
        f"autoencoder: iteration {n} of 30" for n in (10, 30)
    ]


def test_the_time_left_counts_from_where_a_training_went_on(log, monkeypatch):
    monkeypatch.setattr(progress, "_LEAST_S", 0)
    said = []
    trainings = Trainings(1000)
    with trainings.told(said.append):
        trainings.add("translation", log)
        (training,) = trainings._all
        training.since = time.time() - 600
        log.write_text("resumed at iteration 400\niteration 500: valid dice 0.5\n")
        wait_for(said, 1)
    assert said == ["translation: iteration 500 of 1,000, validation Dice 0.50, about 50 min left"]


def test_the_log_of_an_earlier_training_is_not_told(log):
    log.write_text("iteration 1000: valid dice 0.5\n")
    hour_ago = time.time() - 3600
    os.utime(log, (hour_ago, hour_ago))
    said = []
    trainings = Trainings(1000)
    with trainings.told(said.append):
        trainings.add("translation", log)
        time.sleep(0.1)
    assert said == []
