"""Small tensors are faster on one thread."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)
