"""The fast training step against the plain one: every term and every gradient, in float64."""

from pathlib import Path

import pytest
import torch

from segtrans.batch import Batch
from segtrans.config import run_config
from segtrans.config.catalogue import METHODS, TranslationOptions
from segtrans.config.params import load_params
from segtrans.config.run_config import resolve_config
from segtrans.methods.base import plain_step
from segtrans.methods.translation import Translation
from segtrans.tasks.base import VOID
from segtrans.tasks.registry import PAPER_TASKS
from tests.paper.reference_step import Step

ROOT = Path(__file__).parents[2]
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
TRANSLATIONS = [name for name, entry in METHODS.items() if entry.module == "translation"]


@pytest.fixture(params=DEVICES)
def device(request):
    """Where both steps are done; the weights and images are drawn on the CPU."""
    return request.param


def build(monkeypatch, device, task, method, size, width):
    if size is not None:
        sized = PAPER_TASKS[task].model_copy(update={"height": size[0], "width": size[1]})
        monkeypatch.setitem(run_config.PAPER_TASKS, task, sized)
    overlay = {"overrides": {task: {"networks": {"width": width, "unique_fraction": 0.25}}}}
    params = load_params(ROOT / "params.yaml", overlay=overlay)
    config = resolve_config(params, task=task, method=method, init_seed=1)
    model = Translation(config, torch.Generator().manual_seed(4)).double()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():  # biases, gains and moments that are zero or one hide mistakes
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn(len(parameter), generator=generator).double()
    model.to(device).prepare(config.training)
    return config, model


def batch(config, n, n_labelled, n_void):
    task, generator = config.definition, torch.Generator().manual_seed(6)
    shape = (n, len(task.channels), task.height, task.width)
    x_P, x_A = (2 * torch.rand(shape, generator=generator).double() - 1 for _ in range(2))
    y = (x_P[:n_labelled, 0] > 0.5).to(torch.uint8)
    y[n_labelled - n_void :] = VOID  # slots that no labelled image fills
    y[:, ::5, ::3] = VOID  # and pixels within those that one does
    return x_P, x_A, y


def assert_same_step(config, model, x_P, x_A, y):
    device = next(model.parameters()).device
    x_P, x_A, y = x_P.to(device), x_A.to(device), y.to(device)
    options = METHODS[config.method].options or TranslationOptions()
    step = Step(
        model.state_dict(),
        weights=config.weights,
        unique=model.generator.n_unique,
        long_skip=options.long_skip,
        domain_aware=options.fakes != "translations",
    )
    u_prior = model.sample_u(x_A, torch.Generator(device).manual_seed(7)).double()
    expected, gradients = step.run(x_P, x_A, y, u_prior)
    ours = plain_step(torch.Generator(device).manual_seed(7))
    terms = model.update(Batch.of(x_P, x_A, y), ours)
    assert set(terms) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value.detach(), rtol=1e-9, atol=1e-9, msg=name)
    parameters = dict(model.named_parameters())
    assert set(parameters) == set(gradients)
    for name, gradient in gradients.items():
        if gradient is None:  # segmentation, when nothing is labelled
            assert parameters[name].grad is None, name
            continue
        # Gradients that cancel, such as those of biases before a norm, are rounding: below 1e-13.
        scale = max(1e-3, float(gradient.abs().max()))
        difference = float((parameters[name].grad - gradient).abs().max())
        assert difference <= 1e-9 * scale, name
    for stem, (u, v, _) in step.uv.items():
        buffers = model.state_dict()
        torch.testing.assert_close(buffers[f"{stem}.u"], u, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(buffers[f"{stem}.v"], v, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", TRANSLATIONS)
def test_every_translation_at_48(monkeypatch, device, method):
    width = 1 / 16
    config, model = build(monkeypatch, device, "mnist48_simple", method, None, width)
    assert_same_step(config, model, *batch(config, n=8, n_labelled=3, n_void=1))


@pytest.mark.parametrize(
    ("task", "size", "n"),
    [
        ("mnist48_simple", (49, 51), 8),  # odd: upsampling crops
        ("mnist128", None, 4),  # 8 images in all: the low-resolution way
        ("brats", (75, 102), 4),
        ("brats", (96, 64), 4),
    ],
)
def test_other_sizes(monkeypatch, device, task, size, n):
    config, model = build(monkeypatch, device, task, "translation", size, 1 / 16)
    assert_same_step(config, model, *batch(config, n=n, n_labelled=2, n_void=0))


@pytest.mark.parametrize(
    ("task", "method", "size"),
    [
        ("mnist48_simple", "translation", None),
        ("mnist48_simple", "translation_separate", None),
        ("brats", "translation", (96, 64)),
    ],
)
def test_enough_labelled_images_to_segment_the_low_resolution_way(
    monkeypatch, device, task, method, size
):
    config, model = build(monkeypatch, device, task, method, size, 1 / 16)
    assert_same_step(config, model, *batch(config, n=8, n_labelled=8, n_void=0))


@pytest.mark.parametrize("method", ["translation_sum", "translation_noskip"])
def test_blocks_that_keep_their_channels_and_so_skip_by_the_identity(monkeypatch, device, method):
    config, model = build(monkeypatch, device, "mnist48_simple", method, None, 1 / 64)
    assert_same_step(config, model, *batch(config, n=3, n_labelled=2, n_void=0))


@pytest.mark.parametrize("method", ["translation", "translation_masked"])
def test_a_batch_without_labels(monkeypatch, device, method):
    config, model = build(monkeypatch, device, "mnist48_simple", method, None, 1 / 16)
    assert_same_step(config, model, *batch(config, n=4, n_labelled=0, n_void=0))
