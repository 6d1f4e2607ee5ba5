"""Stage numbers: a changed result must raise its stage's number, and only then this file changes.

When a test here fails and the change of results is meant: raise the number in
`segtrans/config/versions.py`, write the new value beside it here, and say so in CHANGELOG.md.
Clutter has its test in tests/sources/test_cluttered_mnist.py.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from segtrans.batch import Batch
from segtrans.config.params import parse_params
from segtrans.config.run_config import resolve_config
from segtrans.config.versions import EVALUATION_VERSION, training_version
from segtrans.methods.base import plain_step
from segtrans.methods.weights import build_method
from segtrans.score.lesions import count_in_images, lesion_scores
from segtrans.score.metrics import image_sums, split_scores

ROOT = Path(__file__).parents[2]

TRAINING = {
    "segmentation_only": (4, 0.5006343),
    "autoencoder": (4, 1.4114302),
    "translation": (4, 97.160355),
    "mean_teacher": (5, 0.5019005),
    "uncertainty_mean_teacher": (5, 0.5020038),
    "cross_pseudo_supervision": (4, 2.1117854),
    "fixmatch": (5, 0.5006392),
    "copy_paste": (5, 0.8383635),
    "self_training": (5, 0.9159504),
    "translation_mean_teacher": (4, 97.164345),
}
EVALUATION = (
    6,
    {
        "dice_soft_pooled": 0.228992,
        "dice_hard_pooled": 0.260274,
        "dice_hard_image_mean": 0.239082,
        "false_positive_pixels_A": 94,
        "false_positive_pixels_A_image_mean": 31.333333,
        "n_images_P": 4,
        "n_images_A": 3,
        "n_both_empty_P": 0,
        "n_only_mask_empty_P": 1,
        "n_only_segmentation_empty_P": 0,
        "lesions_found_fraction": 0.375,
        "lesions_false_image_mean": 5.285714,
    },
)


@pytest.mark.parametrize("name", TRAINING)
def test_training_ends_at_the_loss_of_its_number(name):
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["networks"]["width"] = 1 / 32
    rates = ("learning_rate", "mlp_learning_rate", "discriminator_learning_rate")
    content["training"] |= dict.fromkeys(rates, 1e-3)
    content["training"] |= {"weight_decay": 1e-4, "iterations": 5, "validate_every": 5}
    for objective in content["objective"].values():
        unlabelled = {"lambda_cons", "lambda_pseudo"} & objective.keys()
        objective |= dict.fromkeys({"lambda_seg", *unlabelled}, 1.0)
    params = parse_params(content, origin="test")
    config = resolve_config(params, task="mnist48_simple", method=name, init_seed=0)
    method = build_method(config)
    method.prepare(config.training)
    rng = np.random.default_rng(0)
    for step in range(5):
        x_P, x_A = (torch.from_numpy(rng.random((3, 1, 48, 48), np.float32)) for _ in range(2))
        y = (x_P[:2, 0] > 0.6).to(torch.uint8)
        generator = torch.Generator().manual_seed(step)
        terms = method.update(Batch.of(x_P, x_A, y), plain_step(generator, step))
    number, total = TRAINING[name]
    # Rounding differs between processors; a changed method differs by far more.
    assert float(terms["total"]) == pytest.approx(total, rel=1e-4)
    assert number == training_version(name)


def test_evaluation_has_the_scores_of_its_number():
    rng = np.random.default_rng(1)
    mask = (rng.random((4, 8, 8)) > 0.8).astype(np.uint8)
    mask[0] = 0
    p_P, p_A = (rng.random((n, 8, 8), np.float32) for n in (4, 3))
    scores = {
        **split_scores(*(image_sums(p, y, threshold=0.5) for p, y in ((p_P, mask), (p_A, None)))),
        **lesion_scores(
            *(count_in_images(p > 0.8, y) for p, y in ((p_P, mask), (p_A, None))), None
        ),
    }
    rounded = {key: round(value, 6) for key, value in scores.items() if value is not None}
    assert (EVALUATION_VERSION, rounded) == EVALUATION
