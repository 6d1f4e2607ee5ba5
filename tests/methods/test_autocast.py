"""What autocast rounds on a GPU, by torch's own rules for CUDA.

Those for the processor differ: they leave a product of a matrix and a vector alone, for one.
"""

from pathlib import Path

import pytest
import torch
import yaml
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

from segtrans.batch import Batch
from segtrans.config.params import parse_params
from segtrans.config.run_config import resolve_config
from segtrans.methods.base import Step
from segtrans.methods.weights import build_method

ROOT = Path(__file__).parents[2]
# What CUDA's autocast takes to bf16, by the name in torch's own register.
TO_BF16 = {
    *("addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "chain_matmul", "linalg_multi_dot"),
    *("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d.input"),
    *("conv_transpose3d.input", "linalg_vecdot", "linear", "matmul", "mm", "mv", "prelu"),
    *("scaled_dot_product_attention", "gru_cell", "lstm_cell", "rnn_relu_cell", "rnn_tanh_cell"),
}
OTHER_NAMES = {"__matmul__": "matmul", "__rmatmul__": "matmul", "multi_dot": "linalg_multi_dot"}
NAMES = {name.split(".")[0] for name in TO_BF16} | {"einsum"} | set(OTHER_NAMES)
# Networks alone may be rounded.
OF_NETWORKS = {"conv2d", "conv_transpose2d", "linear", "__matmul__"}


class Engine:
    def autocast(self):
        return torch.autocast("cpu", torch.bfloat16)

    def backward(self, tensor):
        tensor.backward()


class Rounded(TorchFunctionMode):
    """Notes what a GPU would round, where autocast is on."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if torch.is_autocast_enabled("cpu") and function.__name__ in NAMES:
            self.names.add(function.__name__)
        return function(*args, **(kwargs or {}))


def test_torch_rounds_these_on_a_gpu():
    for name in TO_BF16:
        assert torch._C._dispatch_has_kernel_for_dispatch_key(f"aten::{name}", "AutocastCUDA"), name
    assert not torch._C._dispatch_has_kernel_for_dispatch_key("aten::mv", "AutocastCPU")
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    with FakeTensorMode():  # tensors without content, as they would be on a GPU
        matrix, vector = torch.empty(3, 4, device="cuda"), torch.empty(4, device="cuda")
        torch.set_autocast_enabled("cuda", True)
        torch.set_autocast_dtype("cuda", torch.bfloat16)
        try:
            assert matrix.mv(vector).dtype == torch.bfloat16
            with torch.autocast("cuda", enabled=False):
                assert matrix.mv(vector).dtype == torch.float32
        finally:
            torch.set_autocast_enabled("cuda", before[0])
            torch.set_autocast_dtype("cuda", before[1])


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("segmentation_only", "mnist48_simple"),
        ("autoencoder", "mnist48_simple"),
        ("translation", "mnist48_simple"),
        ("translation_separate", "mnist48_simple"),
        ("translation", "brats"),
        ("uncertainty_mean_teacher", "mnist48_simple"),
        ("cross_pseudo_supervision", "mnist48_simple"),
        ("fixmatch", "mnist48_simple"),
        ("copy_paste", "mnist48_simple"),
        ("self_training", "mnist48_simple"),
        ("translation_mean_teacher", "mnist48_simple"),
        ("translation_masked", "mnist48_simple"),
    ],
)
def test_an_update_in_bf16_rounds_networks_and_nothing_else(name, task):
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["networks"]["width"] = 1 / 64
    config = resolve_config(
        parse_params(content, origin="test"), task=task, method=name, init_seed=0
    )
    facts, generator = config.definition, torch.Generator().manual_seed(0)
    shape = (2, len(facts.channels), facts.height, facts.width)
    method = build_method(config)
    method.prepare(config.training)
    x_P, x_A = (torch.rand(shape, generator=generator) for _ in range(2))
    y = (x_P[:1, 0] > 0.7).to(torch.uint8)
    with Rounded() as rounded:
        step = Step(Engine(), generator, torch.zeros(()))
        terms = method.update(Batch.of(x_P, x_A, y), step)
    assert {term.dtype for term in terms.values()} == {torch.float32}
    assert "conv2d" in rounded.names
    assert rounded.names <= OF_NETWORKS
