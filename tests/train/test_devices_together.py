"""One training shared by two processes, against one process with the joint batch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from segtrans.errors import UserError
from segtrans.train.hardware.world import start_fabric
from tests.limits import WAIT_S


def train(config, data, folder, *options):
    return subprocess.run(
        [
            *(sys.executable, "-m", "segtrans", "train", "--run-config", config.to_json()),
            *("--data", str(data), "--output", folder, "--checkpoints", f"checkpoints-{folder}"),
            *("--gpus", "0", *options),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )


@pytest.fixture(autouse=True)
def own_world(own_store):
    """Tracking and locks inside the test's folder."""


def history(folder):
    return [json.loads(line) for line in Path(folder, "history.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["translation", "translation_masked", "autoencoder"])
@pytest.mark.parametrize("per_batch", [0, 3])
def test_two_processes_have_the_losses_of_one_with_the_joint_batch(
    tiny_data, make_config, method, per_batch
):
    # AMSGrad's first steps are as long as the learning rate however small the gradient. Those that
    # real and translated images have for the bias of the discriminators' last normalised
    # convolution cancel but for rounding, which so shifts all scores: the adversarial terms see it,
    # the hinge does not, nor does any network.
    shifted = {"adv_A": 1e-3, "adv_P": 1e-3, "total": 6e-3}
    rates = {"learning_rate": 0.001, "mlp_learning_rate": 0.001}
    rates |= {"discriminator_learning_rate": 0.001}
    config = make_config(method, batch_size=8, iterations=8, validate_every=1, **rates)
    # An odd number of labels, or mostly none, cannot be shared equally.
    labels = config.labels.model_copy(update={"per_batch": per_batch})
    config = config.model_copy(update={"labels": labels})
    for folder, options in (("one", []), ("two", ["--devices", "2"])):
        answer = train(config, tiny_data, folder, *options)
        assert answer.returncode == 0, answer.stderr
    alone, together = history("one"), history("two")
    assert [record["iteration"] for record in together] == list(range(9))
    assert any("seg" in record["train"] for record in alone)
    for one, two in zip(alone, together, strict=True):
        assert two["train"].keys() == one["train"].keys()
        for name, value in one["train"].items():
            expected = pytest.approx(value, rel=1e-5, abs=shifted.get(name, 2e-5))
            assert two["train"][name] == expected, (one["iteration"], name)
        for name, value in one["valid"].items():
            # A threshold's Dice jumps where a pixel passes it.
            tolerance = 2e-5 if name == "dice_soft_pooled" else 0.01
            expected = pytest.approx(value, rel=tolerance, abs=tolerance)
            assert two["valid"][name] == expected, (one["iteration"], name)
    assert "2 processes" in json.loads(Path("two/run.json").read_text())["device"]


def test_a_batch_that_cannot_be_shared_is_one_line(make_config):
    training = make_config("autoencoder", batch_size=3).training
    with pytest.raises(UserError, match=r"training\.batch_size = 3: cannot be shared") as raised:
        start_fabric(training, [], 2)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_shared_trainings_resume_together(tiny_data, make_config):
    config = make_config("translation", batch_size=4, iterations=8, validate_every=2)
    whole = train(config, tiny_data, "whole", "--devices", "2")
    assert whole.returncode == 0, whole.stderr
    code = (
        "import sys; from segtrans.train.loop import Trainer; keep = Trainer._keep\n"
        "def stop(self, *arguments):\n"
        "    keep(self, *arguments)\n"
        "    if self.progress.iteration == 4: raise SystemExit(9)\n"
        "Trainer._keep = stop\n"
        "from segtrans.cli import main; main()"
    )
    Path("stopping.py").write_text(code)
    broken = subprocess.run(
        [
            *(sys.executable, "stopping.py", "train", "--run-config", config.to_json()),
            *("--data", str(tiny_data), "--output", "broken", "--checkpoints"),
            *("checkpoints-broken", "--gpus", "0", "--devices", "2"),
        ],
        capture_output=True,
        check=False,
        timeout=WAIT_S,
    )
    assert broken.returncode != 0
    again = train(config, tiny_data, "broken", "--devices", "2")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("resumed at iteration 4") == 1
    for name in ("history.jsonl", "weights.safetensors", "weights_last.safetensors"):
        assert Path("broken", name).read_bytes() == Path("whole", name).read_bytes(), name
