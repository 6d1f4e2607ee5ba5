"""Every method: what an update changes, what it returns, and the paper's equations."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch._dynamo
import yaml
from torch.profiler import ProfilerActivity, profile

from segtrans.batch import Batch
from segtrans.config.catalogue import METHODS
from segtrans.config.params import parse_params
from segtrans.config.run_config import resolve_config
from segtrans.methods.base import PlainEngine, Step, plain_step
from segtrans.methods.weights import build_method
from segtrans.nets.convolution import Convolution

ROOT = Path(__file__).parents[2]
TRANSLATIONS = [name for name, entry in METHODS.items() if entry.module == "translation"]
TERMS = {
    "segmentation_only": {"seg", "total"},
    "autoencoder": {"seg", "rec_x", "total"},
    "autoencoder_squared": {"seg", "rec_x", "total"},
    "mean_teacher": {"seg", "cons", "total"},
    "uncertainty_mean_teacher": {"seg", "cons", "total"},
    "cross_pseudo_supervision": {"seg", "seg_2", "pseudo", "pseudo_2", "total"},
    "fixmatch": {"seg", "pseudo", "total"},
    "copy_paste": {"seg", "pseudo", "total"},
    "self_training": {"seg", "pseudo", "total"},
    "translation": {
        *("seg", "total", "rec_PP", "rec_AA", "cyc_APA", "adv_A", "adv_P", "disc_A", "disc_P"),
        *("lat_c_PA", "lat_c_AP", "lat_c_AA", "lat_c_PP", "lat_u_PP", "lat_u_AP"),
    },
}
TERMS["pathologies"] = TERMS["translation"]  # of one
TERMS["translation_masked"] = {*TERMS["translation"], "keep_PA"}
TERMS["translation_mean_teacher"] = {*TERMS["translation"], "cons"}


class RoundingEngine(PlainEngine):
    def autocast(self):
        return torch.autocast("cpu", torch.bfloat16)


def make(name, *, width=1 / 32, min_channels=1, segment_absent=False, weights=None, **training):
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["networks"] |= {"width": width, "min_channels": min_channels}
    content["labels"]["segment_absent"] = segment_absent
    content["objective"]["translation"] |= weights or {}
    content["training"] |= training
    params = parse_params(content, origin="test")
    config = resolve_config(params, task="mnist48_simple", method=name, init_seed=3)
    method = build_method(config)
    method.prepare(config.training)
    return method


def batch(n=3, n_labelled=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x_P = torch.rand(n, 1, 48, 48, generator=generator)
    x_A = torch.rand(n, 1, 48, 48, generator=generator)
    y = (x_P[:n_labelled, 0] > 0.7).to(torch.uint8)
    return x_P, x_A, y


def update(method, data, engine=None, seed=0, iteration=0):
    generator = torch.Generator().manual_seed(seed)
    step = Step(engine or PlainEngine(), generator, torch.tensor(float(iteration)))
    return method.update(Batch.of(*data), step)


def changed(method, before):
    after = method.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


def translated(method, data, step):
    """The terms that need no discriminator, and the translations."""
    made = method._translate(data, step)
    return method._terms(data, step, made), made.images


def snapshot(method):
    return {name: tensor.clone() for name, tensor in method.state_dict().items()}


@pytest.mark.parametrize("name", METHODS)
def test_an_update_trains_every_parameter_and_logs_every_term(name):
    method = make(name)
    before = snapshot(method)
    terms = update(method, batch())
    assert set(terms) == TERMS.get(name, TERMS[METHODS[name].module])
    assert all(term.ndim == 0 and not term.requires_grad for term in terms.values())
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None for parameter in trained)
    weights = {
        key
        for key, parameter in method.named_parameters()
        if key.endswith("weight") and parameter.requires_grad
    }
    assert weights <= changed(method, before)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_at_least_min_channels(name):
    """But for discriminators, and layers that are as narrow in the tables: images and one map."""
    method = make(name, min_channels=5)
    widths = {
        key: module.out_channels
        for key, module in method.named_modules()
        if isinstance(module, Convolution) and not key.startswith("discriminators.")
    }
    is_free = ("compress", "last", "head")
    narrow = {key: n for key, n in widths.items() if n < 5 and not key.endswith(is_free)}
    assert not narrow
    assert min(widths.values()) == 1
    assert min(n for key, n in widths.items() if not key.endswith(is_free)) == 5


@pytest.mark.parametrize("name", METHODS)
def test_segmentation_is_a_probability_for_each_pixel(name):
    method = make(name).eval()
    x_P, _, _ = batch()
    with torch.no_grad():
        y_seg = method.segment(x_P)
        again = method.segment(x_P)
    assert y_seg.shape == (3, 1, 48, 48)
    assert y_seg.dtype == torch.float32
    assert bool(((y_seg >= 0) & (y_seg <= 1)).all())
    assert torch.equal(y_seg, again)


@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_builds_and_trains_the_same_method_bitwise(name):
    one, other = make(name), make(name)
    for step in range(2):
        update(one, batch(seed=step), seed=step)
        update(other, batch(seed=step), seed=step)
    assert changed(one, snapshot(other)) == set()


@pytest.mark.parametrize("name", sorted({entry.module for entry in METHODS.values()}))
def test_the_objective_falls_on_one_batch(name):
    method = make(name, learning_rate=0.003)
    data = batch()
    first = update(method, data)["seg"]
    for _ in range(12):
        last = update(method, data)["seg"]
    assert last < first - 0.02


@pytest.mark.parametrize("name", ["translation", "autoencoder"])
def test_without_a_label_segmentation_parameters_are_not_touched(name):
    method = make(name)
    update(method, batch())  # momentum that would move them
    before = snapshot(method)
    terms = update(method, batch(n_labelled=0))
    assert "seg" not in terms
    untouched = set(before) - changed(method, before)
    parameters = {key for key, _ in method.named_parameters()}
    own = {key for key in parameters if "segmentation" in key or ".mlp" in key}
    assert own
    assert own <= untouched
    assert {key for key in parameters - own if key.endswith("weight")} <= changed(method, before)


def test_the_mlp_the_discriminators_and_the_rest_have_rates_of_their_own():
    # The first step of AMSGrad moves a parameter by its rate, whatever the gradient's size.
    rates = {"learning_rate": 1e-2, "mlp_learning_rate": 1e-3, "discriminator_learning_rate": 1e-4}
    method = make("translation", weight_decay=0.0, **rates)
    before = snapshot(method)
    update(method, batch())
    moved = dict.fromkeys(rates, 0.0)
    for name, parameter in method.named_parameters():
        key = "learning_rate"
        if ".mlp." in name:
            key = "mlp_learning_rate"
        elif name.startswith("discriminators"):
            key = "discriminator_learning_rate"
        change = float((parameter - before[name]).detach().abs().max())
        moved[key] = max(moved[key], change)
    assert moved == pytest.approx(rates, rel=0.01)


def test_segmentation_only_does_nothing_without_a_label():
    method = make("segmentation_only")
    before = snapshot(method)
    assert update(method, batch(n_labelled=0)) == {}
    assert changed(method, before) == set()


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_translations_follow_equations_1_to_6_one_image_at_a_time(name):
    """P and A pass each network together; image by image must give the same terms."""
    method = make(name).eval()
    x_P, x_A, y = batch(n=2, n_labelled=1)
    G = method.generator
    with torch.no_grad():
        step = plain_step(torch.Generator().manual_seed(5))
        terms, images = translated(method, Batch.of(x_P, x_A, y), step)
        u_prior = method.sample_u(x_A, torch.Generator().manual_seed(5))
        for i in range(2):
            P, A = G.encode(x_P[i : i + 1]), G.encode(x_A[i : i + 1])  # eq. 1
            x_PA, x_AA = G.common(P), G.common(A)  # eq. 2
            x_PP = x_PA + G.residual(P)  # eq. 3
            x_AP = x_AA + G.residual(A._replace(u=u_prior[i : i + 1]))  # eq. 6
            pairs = zip((x_PA, x_PP, x_AA, x_AP), images[:4], strict=True)
            for single, together in pairs:
                torch.testing.assert_close(single, together[i : i + 1], rtol=1e-4, atol=1e-5)
        again = {
            key: G.encode(x) for key, x in zip(("PA", "PP", "AA", "AP"), images[:4], strict=True)
        }
        P, A = G.encode(x_P), G.encode(x_A)
        x_APA = G.common(again["AP"])
    expected = {
        "rec_PP": (x_P, images.x_PP),
        "rec_AA": (x_A, images.x_AA),
        "cyc_APA": (x_A, x_APA),
        "lat_c_PA": (P.c, again["PA"].c),
        "lat_c_AP": (A.c, again["AP"].c),
        "lat_c_AA": (A.c, again["AA"].c),
        "lat_c_PP": (P.c, again["PP"].c),
        "lat_u_PP": (P.u, again["PP"].u),
        "lat_u_AP": (u_prior, again["AP"].u),
    }
    for key, (one, other) in expected.items():  # eqs 9 to 11
        value = np.abs(one.numpy() - other.numpy()).mean()
        assert float(terms[key]) == pytest.approx(value, rel=1e-4, abs=1e-6), key
    y_seg = method.segment(x_P[:1]).detach().numpy()[:, 0]
    mask = y.numpy() > 0
    dice = (2 * (y_seg * mask).sum() + 1) / (y_seg.sum() + mask.sum() + 1)  # eq. 8
    assert float(terms["seg"]) == pytest.approx(1 - dice, rel=1e-4)


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_only_the_common_code_makes_the_absence_image(name):
    """The unique code holds what P has beyond A (section 3.2): x_PA must not depend on it."""
    method = make(name).eval()
    x_P, x_A, _ = batch()
    codes = method.generator.encode(x_P)
    other = codes._replace(u=torch.randn(codes.u.shape, generator=torch.Generator().manual_seed(1)))
    with torch.no_grad():
        assert torch.equal(method.generator.common(codes), method.generator.common(other))
        assert not torch.equal(method.generator.residual(codes), method.generator.residual(other))
        x_PA, delta_PA = method.remove(x_P)
        x_AP, delta_AP = method.insert(x_A, method.sample_u(x_A, torch.Generator().manual_seed(2)))
        x_AA, _ = method.remove(x_A)
    torch.testing.assert_close(x_AP - delta_AP, x_AA)
    assert x_PA.shape == delta_PA.shape == x_P.shape
    assert float(x_PA.abs().max()) <= 1


def test_the_discriminators_step_leaves_the_generator_alone():
    method = make("translation", learning_rate=1e-12, mlp_learning_rate=1e-12)
    before = snapshot(method)
    update(method, batch())
    moved = {
        name
        for name, tensor in method.state_dict().items()
        if float((tensor - before[name]).abs().max()) > 1e-6 and not name.endswith((".u", ".v"))
    }
    assert moved
    assert all(name.startswith("discriminators.") for name in moved)


@pytest.mark.parametrize("name", ["segmentation_only", "autoencoder", "translation"])
def test_bf16_autocast_gives_nearly_the_same_terms(name):
    exact, rounded = make(name), make(name)
    terms = update(exact, batch())
    near = update(rounded, batch(), RoundingEngine())
    for key, value in terms.items():
        assert float(near[key]) == pytest.approx(float(value), rel=0.05, abs=0.05), key
    assert all(p.dtype == torch.float32 for p in rounded.parameters())


@pytest.mark.parametrize("segment_absent", [False, True])
@pytest.mark.parametrize("name", METHODS)
def test_no_value_is_read_back_and_nothing_changes_devices_inside_an_update(name, segment_absent):
    """On a GPU each would stall the device (no hidden synchronisation)."""

    class NoReadBack(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            assert "_local_scalar_dense" not in str(function), "a value is read back"
            if str(function) == "aten._to_copy.default":
                assert (kwargs or {}).get("device") in (None, args[0].device), "another device"
            return function(*args, **(kwargs or {}))

    method = make(name, segment_absent=segment_absent)
    update(method, batch(n=8))
    with NoReadBack():
        update(method, batch(n=8))


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_an_update_dispatches_at_most_2500_operations(name):
    method = make(name, width=1 / 8)  # below 16 channels layer norm is several operations
    data = batch(n=8)
    update(method, data)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        update(method, data)
    operations = [event for event in profiler.events() if event.name.startswith("aten::")]
    outermost = [
        event
        for event in operations
        if event.cpu_parent is None or not event.cpu_parent.name.startswith("aten::")
    ]
    assert 500 < len(outermost) <= 2500


# Of torch's own: its tracer makes an instance of every autograd function that it meets.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["autoencoder", "translation"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # of tracing itself
def test_compiled_networks_are_whole_graphs_and_train_the_same(name):
    torch._dynamo.reset()
    plain, compiled = make(name), make(name)
    compiled.compile_networks(backend="eager")  # traces as every backend, needs no C++ compiler
    for step in range(2):
        expected, terms = (update(m, batch(n=8, seed=step)) for m in (plain, compiled))
        for key, value in expected.items():
            assert torch.equal(terms[key], value), key
    counters = torch._dynamo.utils.counters
    n_graphs = counters["stats"]["unique_graphs"]
    update(compiled, batch(n=8, seed=2))
    assert counters["stats"]["unique_graphs"] == n_graphs > 0  # nothing is traced again
    assert not counters["graph_break"]
    torch._dynamo.reset()


@pytest.mark.parametrize(
    "name",
    ["segmentation_only", "autoencoder", pytest.param("translation", marks=pytest.mark.slow)],
)
def test_bf16_autocast_trains_to_nearly_the_same_loss(name):
    """Over 30 updates the objective ends within 10 % of that in fp32."""
    exact, rounded = make(name, learning_rate=0.001), make(name, learning_rate=0.001)
    for step in range(30):
        data = batch(n=2, seed=step % 4)
        loss = update(exact, data, seed=step)["total"]
        near = update(rounded, data, RoundingEngine(), seed=step)["total"]
    assert float(near) == pytest.approx(float(loss), rel=0.1)


@pytest.mark.parametrize(
    ("name", "error"), [("autoencoder", np.abs), ("autoencoder_squared", np.square)]
)
def test_an_autoencoder_is_told_the_error_of_its_entry(name, error):
    method, data = make(name), batch()
    x = torch.cat(data[:2])
    made = method.reconstruct(x).detach().double().numpy()
    term = update(method, data)["rec_x"]
    assert float(term) == pytest.approx(error(x.double().numpy() - made).mean(), rel=1e-5)
