"""Slices with neighbours, whose part is encoded once: each term and gradient as of whole stacks."""

from pathlib import Path

import pytest
import torch
import yaml

from segtrans.batch import Batch
from segtrans.config.params import parse_params
from segtrans.config.run_config import resolve_config
from segtrans.methods.base import plain_step
from segtrans.methods.weights import build_method
from tests.methods.test_methods import translated
from tests.methods.test_pathologies import in_double
from tests.sources.scan_folder.scan_files import make_task

ROOT = Path(__file__).parents[2]
C = 2


def make(name, r):
    classes = {"multi_label": True, "classes": {"ball": 1, "rod": 2}}
    task = make_task(channels=("t1", "flair"), architecture="mnist48", neighbours=r, **classes)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params |= {"data_sets": {"mine": task.model_dump(mode="json")}, "overrides": {}}
    params["networks"]["width"] = 1 / 32
    config = resolve_config(parse_params(params, origin=""), task="mine", method=name, init_seed=0)
    method = build_method(config)
    method.prepare(config.training)
    return in_double(method)


def batch(r, n=4):
    generator = torch.Generator().manual_seed(0)
    shape = (2, n, C * (2 * r + 1), 32, 32)
    x_P, x_A = (2 * torch.rand(shape, generator=generator).double() - 1).unbind()
    y = torch.randint(0, 2, (2, 32, 32), generator=generator, dtype=torch.uint8)
    return Batch.of(x_P, x_A, y)


@pytest.mark.parametrize("name", ["translation", "translation_masked", "pathologies"])
@pytest.mark.parametrize("r", [1, 2])
def test_what_is_encoded_once_is_as_what_whole_stacks_are_encoded_to(name, r, monkeypatch):
    method, data = make(name, r), batch(r)
    G, seen = method.generator, torch.cat([data.x_P, data.x_A])
    step = plain_step(torch.Generator().manual_seed(5))

    def results():
        method.zero_grad()
        terms, _ = translated(method, data, step)
        sum(terms.values()).backward()
        gradients = {key: of.grad for key, of in G.named_parameters()}
        return {key: float(of.detach()) for key, of in terms.items()}, gradients

    encode, shapes = G.encode, []

    def whole(images, beside):
        """The stack of each slice, whose neighbours are those of P or A."""
        x_P, x_A = data.x_P, data.x_A
        own = seen if len(images) == 8 else torch.cat([x_A, x_P, x_P, x_A])
        stacks = torch.cat([own[:, : C * r], images, own[:, C * (r + 1) :]], dim=1)
        shapes.append(tuple(stacks.shape))
        return encode(stacks)

    step = plain_step(torch.Generator().manual_seed(5))
    terms, gradients = results()
    monkeypatch.setattr(G, "encode", whole)
    step = plain_step(torch.Generator().manual_seed(5))
    expected, of_whole = results()
    assert shapes == [(8, C * (2 * r + 1), 32, 32), (16, C * (2 * r + 1), 32, 32)]
    assert terms == pytest.approx(expected, rel=1e-9)
    assert of_whole["encoder.first.weight"].abs().amin(dim=(0, 2, 3)).max() > 0
    for key, gradient in of_whole.items():
        torch.testing.assert_close(gradients[key], gradient, rtol=1e-8, atol=1e-11)


def test_without_neighbours_nothing_is_encoded_apart():
    method = make("translation", 0)
    data = batch(0)
    codes, beside = method._encode(data)
    assert beside is None
    again = method.generator.encode(torch.cat([data.x_P, data.x_A]))
    assert torch.equal(codes.c, again.c)
