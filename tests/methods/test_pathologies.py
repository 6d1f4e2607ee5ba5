"""Several pathologies at a time: of one it is `translation`, of two each term against NumPy."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from segtrans.batch import Batch
from segtrans.config.params import parse_params
from segtrans.config.run_config import resolve_config
from segtrans.config.versions import TRAINING_VERSION
from segtrans.errors import UserError
from segtrans.methods.adversary import judge
from segtrans.methods.base import plain_step
from segtrans.methods.inference import lesion_probability
from segtrans.methods.weights import build_method
from segtrans.tasks.base import VOID
from tests.methods.test_methods import translated

ROOT = Path(__file__).parents[2]
TWO = {
    "kind": "cluttered_mnist",
    "title": "Two",
    "height": 48,
    "width": 48,
    "channels": ["intensity"],
    "classes": {"digit": 1, "figure": 2},
    "clutter_pieces": 8,
    "figures": True,
    "architecture": "mnist48",
    "segmentation_norm": "adaptive_instance_norm",
}
K = 2


def make(name, task="two", *, width=1 / 32, segment_absent=False, norm=None):
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["networks"] |= {"width": width}
    content["labels"]["segment_absent"] = segment_absent
    content["data_sets"] = {"two": TWO | ({"segmentation_norm": norm} if norm else {})}
    params = parse_params(content, origin="test")
    config = resolve_config(params, task=task, method=name, init_seed=3)
    method = build_method(config)
    method.prepare(config.training)
    return method


def batch(n=6, n_labelled=3, seed=0, t=None, has_mask=None, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    x_P, x_A = (2 * torch.rand(2, n, 1, 48, 48, generator=generator, dtype=dtype) - 1).unbind()
    y = torch.randint(0, 4, (n_labelled, 48, 48), generator=generator, dtype=torch.uint8)
    if t is None:
        return Batch.of(x_P, x_A, y)
    known = (torch.tensor(of, dtype=torch.uint8) for of in (t, has_mask))
    return Batch({"present": x_P, "absent": x_A}, y, *known)


# Both, one, the other, not known, both, one.
T = [[1, 1], [1, 0], [0, 1], [1, VOID], [1, 1], [0, 1]]
# The third labelled image has a mask of the figure alone, the second only that of the digit.
MASKED = [[1, 1], [1, 0], [0, 1], [0, 0], [0, 0], [0, 0]]


def known_batch(**changes):
    return batch(t=T, has_mask=MASKED, **changes)


def update(method, data, seed=0):
    return method.update(data, plain_step(torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("segment_absent", [False, True])
def test_of_one_pathology_it_is_the_papers_method_bit_for_bit(segment_absent):
    ours, paper = (
        make(name, "mnist48_simple", segment_absent=segment_absent)
        for name in ("pathologies", "translation")
    )
    for step in range(10):
        data = batch(seed=step, n_labelled=step % 3)  # also without a label
        assert {k: float(v) for k, v in update(ours, data, seed=step).items()} == {
            k: float(v) for k, v in update(paper, data, seed=step).items()
        }
    expected = paper.state_dict()
    trained = ours.state_dict()
    assert list(trained) == list(expected)
    assert all(torch.equal(trained[name], expected[name]) for name in expected)


def test_a_decoder_of_its_own_for_one_pathology_is_the_papers_method_too():
    ours, paper = (
        make("pathologies_separate", "mnist48_simple"),
        make("translation", "mnist48_simple"),
    )
    for step in range(10):
        for method in (ours, paper):
            update(method, batch(seed=step), seed=step)
    trained, expected = ours.state_dict(), paper.state_dict()
    for name, tensor in expected.items():
        own = name.replace("residual_decoder.", "residual_decoder.decoders.0.")
        assert torch.equal(trained[own], tensor), name
    assert len(trained) == len(expected)


def test_two_pathologies_end_at_the_loss_of_their_number():
    """Raise TRAINING_VERSION when this changes."""
    method = make("pathologies")
    for step in range(3):
        total = update(method, known_batch(seed=step), seed=step)["total"]
    assert (TRAINING_VERSION, float(total)) == (4, pytest.approx(131.0787, rel=1e-4))


def in_double(method):
    method = method.double()
    for module in method.modules():
        for name, value in vars(module).items():
            if isinstance(value, torch.Tensor):
                setattr(module, name, value.double())
    return method


def mean_where(values, where):
    return float(values[where > 0].mean()) if (where > 0).any() else 0.0


@pytest.mark.parametrize("name", ["pathologies", "pathologies_separate"])
@pytest.mark.parametrize("segment_absent", [False, True])
def test_every_term_of_two_pathologies_in_float64(name, segment_absent):
    """Image by image with the networks alone; sums and means by NumPy."""
    method = in_double(make(name, segment_absent=segment_absent)).eval()
    data = known_batch(dtype=torch.float64)
    x_P, x_A, G = data.x_P, data.x_A, method.generator
    t = np.array(T)
    shows, lacks = t == 1, t == 0
    with torch.no_grad():
        terms, images = translated(method, data, plain_step(torch.Generator().manual_seed(5)))
        prior = torch.randn(
            (6, G.n_unique, 3, 3), generator=torch.Generator().manual_seed(5)
        ).double()
        P, A = ([G.encode(x[i : i + 1]) for i in range(6)] for x in (x_P, x_A))
        delta = [[G.residual(G.of(codes, k), k) for k in range(K)] for codes in P]
        x_PA, x_AA = ([G.common(codes) for codes in of] for of in (P, A))
        x_PP = [x_PA[i] + sum(delta[i][k] for k in range(K) if not lacks[i, k]) for i in range(6)]
        inserted = [0, 0, 0, 1, 1, 1]  # half of A each
        x_AP = [
            x_AA[i] + G.residual(A[i]._replace(u=prior[i : i + 1]), inserted[i]) for i in range(6)
        ]
        removed = [0, 1, 0, 1, 0, 1]  # by turns
        x_without = [
            x_PA[i] + sum(delta[i][k] for k in range(K) if not lacks[i, k] and k != removed[i])
            for i in range(6)
        ]
        for ours, theirs in zip(images, (x_PA, x_PP, x_AA, x_AP, x_without), strict=True):
            torch.testing.assert_close(ours, torch.cat(theirs), rtol=1e-9, atol=1e-10)
        again = {
            key: [G.encode(x) for x in of]
            for key, of in (("PA", x_PA), ("PP", x_PP), ("AA", x_AA), ("AP", x_AP))
        }
        x_APA = [G.common(codes) for codes in again["AP"]]
        y_seg = torch.cat([G.segment(codes) for codes in P + A]).numpy()

    def distance(one, other):
        return np.mean([np.abs((a - b).numpy()).mean() for a, b in zip(one, other, strict=True)])

    def c(of):
        return [codes.c for codes in of]

    def u(codes, k):
        return G.of(codes, k).u.numpy()

    of_u = np.array([[np.abs(u(P[i], k) - u(again["PP"][i], k)).mean() for k in range(K)]
                     for i in range(6)])  # fmt: skip
    of_prior = [
        np.abs(prior[i].numpy() - u(again["AP"][i], inserted[i])[0]).mean() for i in range(6)
    ]
    sizes = np.array([[float(of.abs().mean()) for of in row] for row in delta])
    expected = {
        "rec_PP": distance(x_P[:, None].unbind(), x_PP),
        "rec_AA": distance(x_A[:, None].unbind(), x_AA),
        "cyc_APA": distance(x_A[:, None].unbind(), x_APA),
        "lat_c_PA": distance(c(P), c(again["PA"])),
        "lat_c_AP": distance(c(A), c(again["AP"])),
        "lat_c_AA": distance(c(A), c(again["AA"])),
        "lat_c_PP": distance(c(P), c(again["PP"])),
        "lat_u_PP": mean_where(of_u, shows),
        "lat_u_AP": np.mean(of_prior),
        "rec_lacking": mean_where(sizes, lacks),
        "seg": seg_loss(y_seg, data.y.numpy(), segment_absent=segment_absent),
    }
    assert set(terms) == set(expected)
    for key, value in expected.items():
        assert float(terms[key]) == pytest.approx(value, rel=1e-6), key


def seg_loss(y_seg, y, *, segment_absent):
    """One minus the Dice of each pathology, pooled over the masks that there are."""
    losses = []
    for k in range(K):
        # Absent is known to have an empty mask, masked or not: the third has no digit.
        rows = [i for i in range(len(y)) if MASKED[i][k] or T[i][k] == 0]
        truth = [(y[i] >> k) & 1 for i in rows] + [np.zeros_like(y[0])] * 6 * segment_absent
        p = [y_seg[i, k] for i in rows] + [y_seg[6 + i, k] for i in range(6)] * segment_absent
        p, truth = np.array(p), np.array(truth)
        losses.append(1 - (2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1))
    return np.mean(losses)


def test_both_sides_of_the_adversarial_loss_in_float64():
    method = in_double(make("pathologies"))
    data = known_batch(dtype=torch.float64)
    t = np.array(T)
    with torch.no_grad():
        images = method._translate(data, plain_step(torch.Generator().manual_seed(5))).images
        judged = method._judged(data, images)
        D = method.discriminators
        assert torch.equal(judged["A"].fake, images.x_PA)
        scores = {
            "P": D["P"](data.x_P).numpy(),
            "AP": D["P"](images.x_AP).numpy(),
            "without": D["P"](images.x_without).numpy(),
        }
    assert scores["P"].shape == (6, 2 * K)

    def hinge(scores):
        return np.maximum(0, 1 - scores)

    shows = np.mean([hinge(scores["P"][t[:, k] == 1, k]).mean() for k in range(K)])
    lacks = np.mean([hinge(scores["P"][t[:, k] == 0, K + k]).mean() for k in range(K)])
    inserted = np.array([scores["AP"][i, [0, 0, 0, 1, 1, 1][i]] for i in range(6)])
    # Only the first and the fifth image show both, and lose the digit.
    removed = scores["without"][[0, 4], K + 0]
    loss = shows + lacks + hinge(-inserted).mean() + hinge(-removed).mean()
    value = -inserted.mean() - removed.mean()
    real, fake = (
        torch.from_numpy(of)
        for of in (scores["P"], np.concatenate([scores["AP"], scores["without"]]))
    )
    ours = judged["P"].sides(real, fake)
    assert [float(of) for of in ours] == pytest.approx([loss, value], rel=1e-9)


def test_the_generator_learns_from_every_head_it_is_judged_by():
    """The known gradient of one pass against that of two, for two heads an image."""
    method = in_double(make("pathologies"))
    data = known_batch(dtype=torch.float64)
    with torch.no_grad():
        images = method._translate(data, plain_step(torch.Generator().manual_seed(5))).images
    seen, D = method._judged(data, images)["P"], method.discriminators["P"]
    fake = seen.fake.clone().requires_grad_()
    loss, _ = seen.sides(D(seen.real), D(fake.detach()))
    by_weights = torch.autograd.grad(loss, list(D.parameters()))
    value = seen.sides(D(seen.real), D(fake))[1]
    (by_fake,) = torch.autograd.grad(value, fake)
    verdict = judge(D, seen.real, fake.detach(), seen.sides)
    verdict.scored.backward()
    learning = fake.detach().requires_grad_()
    verdict.adversarial(learning).backward()
    torch.testing.assert_close(learning.grad, by_fake, rtol=1e-9, atol=1e-14)
    assert by_fake[6].abs().max() > 0
    assert by_fake[7:10].abs().max() == 0  # shows one alone, or is not known to
    for parameter, gradient in zip(D.parameters(), by_weights, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("norm", ["adaptive_instance_norm", "layer_norm"])
@pytest.mark.parametrize("name", ["pathologies", "pathologies_separate"])
def test_an_update_of_two_trains_every_parameter(name, norm):
    method = make(name, norm=norm)
    before = {key: tensor.clone() for key, tensor in method.named_parameters()}
    terms = update(method, known_batch())
    assert {"rec_lacking", "adv_P", "disc_P", "seg"} <= set(terms)
    for key, parameter in method.named_parameters():
        assert parameter.grad is not None, key
        if key.endswith("weight"):
            assert not torch.equal(parameter, before[key]), key


@pytest.mark.parametrize("segment_absent", [False, True])
@pytest.mark.parametrize("name", ["pathologies", "pathologies_separate"])
def test_an_update_of_two_reads_no_value_back_and_sends_none(name, segment_absent):
    """On a GPU it is recorded once and repeated: what the host looks at would stay what it was."""
    called = set()

    class Calls(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            called.add(str(function))
            if str(function) == "aten._to_copy.default":
                assert (kwargs or {}).get("device") in (None, args[0].device), "another device"
            return function(*args, **(kwargs or {}))

    method = make(name, segment_absent=segment_absent)
    assert method.is_replayable
    update(method, known_batch())
    with Calls():
        update(method, known_batch())
    for stall in ("_local_scalar_dense", "nonzero", "masked_select"):
        assert not any(stall in function for function in called), stall


def test_removing_and_adding_one_leaves_the_others():
    method = make("pathologies").eval()
    x = known_batch().x_P
    with torch.no_grad():
        common, residuals = method.decompose(x)
        without, change = method.remove(x)
        u = method.sample_u(x, torch.Generator().manual_seed(1))
        added, residual = method.insert_one(x, u, 1)
        all_added, all_change = method.insert(x, u)
    assert residuals.shape == (6, K, 1, 48, 48)
    assert torch.equal(without, common)
    torch.testing.assert_close(change, residuals[:, 0] + residuals[:, 1])
    # What was there of the digit stays, the figure is a new one.
    torch.testing.assert_close(added - residual, common + residuals[:, 0])
    torch.testing.assert_close(all_added - all_change, common)
    assert not torch.equal(residuals[:, 0], residuals[:, 1])


def test_k_sigmoids_may_overlap_and_the_target_is_any_of_them():
    method = make("pathologies").eval()
    x = known_batch().x_P
    with torch.no_grad():
        y_seg = method.segment(x)
    assert y_seg.shape == (6, K, 48, 48)
    assert float(y_seg.sum(dim=1).max()) > 1  # no softmax
    torch.testing.assert_close(lesion_probability(method, x), y_seg.amax(dim=1))


def test_the_codes_share_the_channels_of_one():
    one, two = make("pathologies", "mnist48_simple", width=1 / 8), make("pathologies", width=1 / 8)
    assert (one.generator.n_common, one.generator.n_unique) == (48, 16)
    assert (two.generator.n_common, two.generator.n_unique) == (48, 8)


def test_what_is_too_small_for_two_is_refused():
    with pytest.raises(UserError, match="2 latent channels, a common and 2 unique codes need 3"):
        make("pathologies", width=1 / 256)
    with pytest.raises(UserError, match="a batch of 1 images of A"):
        update(make("pathologies"), batch(n=1, n_labelled=1))


def test_other_methods_take_all_pathologies_for_one_target():
    method = make("translation").eval()
    update(method, known_batch())
    with torch.no_grad():
        assert method.segment(known_batch().x_P).shape == (6, 1, 48, 48)
