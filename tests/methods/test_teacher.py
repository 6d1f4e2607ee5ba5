"""A teacher's weights: their formula, and that those with a spectral norm are normalised again."""

import numpy as np
import pytest
import torch
from torch import nn

from segtrans.methods.teacher import follow, kept_share, teacher_of
from segtrans.train.average import WeightAverage
from tests.methods.singular_values import largest_singular_values
from tests.methods.test_methods import batch, make, snapshot, update

WITH_TEACHER = [
    *("mean_teacher", "uncertainty_mean_teacher", "fixmatch", "copy_paste", "self_training"),
    "translation_mean_teacher",
]


def kept(t, *, decay=0.99, n_iterations=30_000):
    return float(kept_share(torch.tensor(float(t)), decay=decay, n_iterations=n_iterations))


def test_what_a_teacher_keeps_is_as_published_unless_the_training_is_short():
    found = [kept(t) for t in (0, 1, 9, 99, 29_999)]
    assert found == pytest.approx([0, 1 / 2, 9 / 10, 0.99, 0.99])
    assert kept(29_999, decay=0.996) == pytest.approx(0.996)
    assert kept(999, n_iterations=1000) == pytest.approx(0.99)  # 100 of 1,000 iterations
    assert kept(149, n_iterations=150) == pytest.approx(1 - 1 / 15)
    assert kept(7, n_iterations=8) == 0


def test_a_teacher_is_the_average_of_the_formula():
    values = np.random.default_rng(0).normal(size=(60, 3))
    student = nn.Linear(3, 1, bias=False).double()
    student.weight.data.copy_(torch.from_numpy(values[:1]))
    teacher = teacher_of(student)
    expected = values[0]
    for t, value in enumerate(values):
        student.weight.data.copy_(torch.from_numpy(value))
        time = torch.tensor(float(t))
        follow(teacher, student, kept_share(time, decay=0.9, n_iterations=1000))
        alpha = min(1 - 1 / (t + 1), 0.9)
        expected = alpha * expected + (1 - alpha) * value
    np.testing.assert_allclose(teacher.weight[0], expected, atol=1e-6)
    assert not teacher.weight.requires_grad


def test_a_teacher_that_keeps_all_or_nothing_does_so_to_the_last_bit():
    student, teacher = nn.Linear(50, 50), teacher_of(nn.Linear(50, 50))
    before = teacher.weight.clone()
    follow(teacher, student, torch.tensor(1.0))
    assert torch.equal(teacher.weight, before)
    follow(teacher, student, torch.tensor(0.0))
    assert torch.equal(teacher.weight, student.weight)


@pytest.mark.parametrize("name", WITH_TEACHER)
def test_no_average_and_no_optimiser_takes_a_teacher_in(name):
    method = make(name)
    trained = {p for o in method.optimisers.values() for g in o.param_groups for p in g["params"]}
    assert trained == {p for key, p in method.named_parameters() if not key.startswith("teacher.")}
    average = WeightAverage(method, 0.9)
    assert not [key for key in average.weights if key.startswith("teacher.")]
    update(method, batch())
    average.add(method, 1)
    before = snapshot(method.teacher)
    with average.in_place(method):
        assert all(torch.equal(t, before[key]) for key, t in method.teacher.state_dict().items())


@pytest.mark.parametrize("name", sorted({*WITH_TEACHER} - {"self_training"}))
def test_the_teacher_is_what_segments(name):
    method = make(name)
    for seed in range(2):
        update(method, batch(seed=seed), seed=seed)
    x, _, _ = batch(seed=9)
    with torch.no_grad():
        found = method.segment(x)
        for key, parameter in method.named_parameters():
            if not key.startswith("teacher."):
                parameter.zero_()
        assert torch.equal(method.segment(x), found)
        for parameter in method.teacher.parameters():
            parameter.mul_(0.5)
        assert not torch.equal(method.segment(x), found)


@pytest.mark.parametrize("rate", [0.003, 0.03])
def test_averaged_weights_with_a_spectral_norm_are_normalised_again(rate):
    """Over their own largest singular value, not over what the newest weights had."""
    method = make("translation_mean_teacher", learning_rate=rate)
    for t in range(12):
        update(method, batch(seed=t), seed=t, iteration=t)
    found = largest_singular_values(method.teacher)
    assert len(found) > 10
    assert list(found.values()) == pytest.approx(np.ones(len(found)), abs=0.02)
    teacher, student = dict(method.teacher.named_modules()), dict(method.generator.named_modules())
    ratios = [
        np.linalg.norm(teacher[key].weight.detach().flatten(1).numpy(), 2)
        / np.linalg.norm(student[key].weight.detach().flatten(1).numpy(), 2)
        for key in found
    ]
    assert np.abs(np.array(ratios) - 1).max() > 0.02  # what normalising them again is there for
