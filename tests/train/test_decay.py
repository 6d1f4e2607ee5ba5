"""Learning rates that fall at the end of a training."""

from pathlib import Path

import pytest

from segtrans.methods.translation import Translation
from segtrans.train.loop import rate_factor
from tests.train.training import train


@pytest.fixture(autouse=True)
def own_world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody listens


@pytest.fixture
def rates(monkeypatch):
    """The rates of generator and discriminators with which each update is done."""
    seen, update = [], Translation.update

    def noted(method, *args, **kwargs):
        seen.append(tuple(o.param_groups[0]["lr"] for o in method.optimisers.values()))
        if len(seen) == 6:
            raise KeyboardInterrupt
        return update(method, *args, **kwargs)

    monkeypatch.setattr(Translation, "update", noted)
    return seen


@pytest.mark.parametrize(
    ("decay", "expected"),
    [(0.0, [1, 1, 1, 1]), (0.5, [1, 1, 1, 0.5]), (1.0, [1, 0.75, 0.5, 0.25])],
)
def test_the_rates_fall_linearly_over_the_last_share(make_cell, decay, expected):
    training = make_cell("translation", iterations=4, validate_every=4, decay=decay).training
    assert [rate_factor(training, iteration) for iteration in range(4)] == expected


def test_both_rates_fall_and_go_on_falling_when_a_training_is_resumed(tiny_data, make_cell, rates):
    cell = make_cell(
        "translation",
        iterations=8,
        validate_every=2,
        decay=0.5,
        learning_rate=0.01,
        discriminator_learning_rate=0.001,
    )
    with pytest.raises(KeyboardInterrupt):
        train(cell, tiny_data, "broken")
    train(cell, tiny_data, "broken")
    # The sixth update broke off; the checkpoint is that of the fourth.
    factors = [1, 1, 1, 1, 1, 0.75, 1, 0.75, 0.5, 0.25]
    assert rates == [pytest.approx((0.01 * f, 0.001 * f)) for f in factors]
    train(cell, tiny_data, "whole")
    for name in ("weights.safetensors", "weights_last.safetensors", "history.jsonl"):
        assert Path("broken", name).read_bytes() == Path("whole", name).read_bytes(), name
