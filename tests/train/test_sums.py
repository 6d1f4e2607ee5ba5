"""Sums of terms against sums by hand."""

import pytest
import torch

from segtrans.errors import UserError
from segtrans.train.sums import TermSums


def terms(**values):
    return {name: torch.tensor(float(value)) for name, value in values.items()}


def test_means_count_only_the_iterations_that_had_the_term():
    sums = TermSums(torch.device("cpu"))
    sums.add(1, terms(rec=1.0))
    sums.add(2, terms(rec=2.0, seg=0.5))
    sums.add(3, terms(rec=6.0, seg=1.0))
    sums.check()
    assert sums.means() == {"rec": 3.0, "seg": 0.75}
    sums.add(4, terms(rec=4.0))
    assert sums.means() == {"rec": 4.0}


def test_a_term_that_is_not_finite_is_named_with_its_first_iteration():
    sums = TermSums(torch.device("cpu"))
    sums.add(6, terms(rec=1.0, seg=0.1))
    sums.add(7, terms(rec=1.0, seg=float("nan")))
    sums.add(8, terms(rec=float("inf"), seg=float("nan")))
    with pytest.raises(UserError, match="iteration 7: seg became NaN"):
        sums.check()


def test_state_continues_the_same_sums():
    one, other = TermSums(torch.device("cpu")), TermSums(torch.device("cpu"))
    one.add(1, terms(rec=1.0, seg=2.0))
    other.restore(one.state())
    for sums in (one, other):
        sums.add(2, terms(rec=5.0))
    assert one.means() == other.means() == {"rec": 3.0, "seg": 2.0}
