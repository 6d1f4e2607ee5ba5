"""Ten updates of two methods beside a second, plainly written loop, in float64.

Without weight decay: instance norm undoes the biases before it, whose gradient is rounding alone,
and AMSGrad would make steps of full length of that as soon as the decay touches it.
"""

import copy
import math

import pytest
import torch

from segtrans.batch import Batch
from segtrans.methods.base import plain_step
from tests.methods.test_methods import batch, make

N_UPDATES, N_ITERATIONS = 10, 30
RATE = 0.003
LAMBDA_SEG, LAMBDA_OTHER = 0.1, 0.01  # params.yaml


def in_double(name):
    training = {"learning_rate": RATE, "weight_decay": 0.0}
    return make(name, iterations=N_ITERATIONS, validate_every=10, **training).double()


def data(t):
    x_P, x_A, y = batch(n=4, n_labelled=2, seed=t)
    return x_P.double(), x_A.double(), y


def optimiser_of(*networks):
    parameters = [parameter for network in networks for parameter in network.parameters()]
    return torch.optim.Adam(parameters, lr=RATE, betas=(0.5, 0.999), amsgrad=True)


def dice_loss(p, y):
    t = (y > 0).double()[:, None]
    return 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)


def mean_teacher_loop(student, lambda_cons):
    teacher = copy.deepcopy(student)
    optimiser = optimiser_of(student)
    totals = []
    for t in range(N_UPDATES):
        x_P, x_A, y = data(t)
        unlabelled = torch.cat([x_P[2:], x_A])
        generator = torch.Generator().manual_seed(t)
        noise = (0.1 * torch.randn(unlabelled.shape, generator=generator)).clamp(-0.2, 0.2)
        with torch.no_grad():
            target = torch.sigmoid(teacher(unlabelled + noise))
        seg = dice_loss(torch.sigmoid(student(x_P[:2])), y)
        difference = torch.sigmoid(student(unlabelled)) - target
        ramp = math.exp(-5 * (1 - t / (0.4 * N_ITERATIONS)) ** 2)
        weight = 0 if t < N_ITERATIONS / 30 else ramp
        total = LAMBDA_SEG * seg + lambda_cons * weight * (difference**2).mean()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        totals.append(total.item())
        alpha = min(1 - 1 / (t + 1), 0.99, 1 - 10 / N_ITERATIONS)
        with torch.no_grad():
            for of_teacher, of_student in zip(
                teacher.parameters(), student.parameters(), strict=True
            ):
                of_teacher.copy_(alpha * of_teacher + (1 - alpha) * of_student)
    return totals, [student, teacher]


def cross_pseudo_loop(one, other, lambda_pseudo):
    optimisers = [optimiser_of(one), optimiser_of(other)]
    totals = []
    for t in range(N_UPDATES):
        x_P, x_A, y = data(t)
        unlabelled = torch.cat([x_P[2:], x_A])
        weight = math.exp(-5 * (1 - t / (0.4 * N_ITERATIONS)) ** 2)
        p, q = torch.sigmoid(one(unlabelled)), torch.sigmoid(other(unlabelled))
        of_p, of_q = (p > 0.5).double(), (q > 0.5).double()
        cross = sum(
            -(labels * a.log() + (1 - labels) * (1 - a).log()).mean()
            for a, labels in ((p, of_q), (q, of_p))
        )
        seg = sum(dice_loss(torch.sigmoid(network(x_P[:2])), y) for network in (one, other))
        total = LAMBDA_SEG * seg + lambda_pseudo * weight * cross
        for optimiser in optimisers:
            optimiser.zero_grad()
        total.backward()
        for optimiser in optimisers:
            optimiser.step()
        totals.append(total.item())
    return totals, [one, other]


def updates(method):
    totals = []
    for t in range(N_UPDATES):
        step = plain_step(torch.Generator().manual_seed(t), t)
        totals.append(method.update(Batch.of(*data(t)), step)["total"].item())
    return totals


def largest_difference(ours, theirs):
    return max(
        (a - b).abs().max().item()
        for one, other in zip(ours, theirs, strict=True)
        for a, b in zip(one.parameters(), other.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    ("name", "networks", "loop"),
    [
        ("mean_teacher", ("network", "teacher"), lambda nets, w: mean_teacher_loop(nets[0], w)),
        ("cross_pseudo_supervision", ("network", "other"), lambda n, w: cross_pseudo_loop(*n, w)),
    ],
)
def test_ten_updates_are_those_of_a_plain_loop(name, networks, loop):
    method = in_double(name)
    ours = [getattr(method, network) for network in networks]
    for network in ours:
        network.requires_grad_()
    plain, without = copy.deepcopy(ours), copy.deepcopy(ours)
    if name == "mean_teacher":
        ours[1].requires_grad_(False)
    totals = updates(method)
    expected, theirs = loop(plain, LAMBDA_OTHER)
    assert totals == pytest.approx(expected, abs=1e-6)
    assert largest_difference(ours, theirs) < 1e-6
    _, theirs = loop(without, 0.0)
    assert largest_difference(ours, theirs) > 1e-4  # the term of unlabelled images is seen
