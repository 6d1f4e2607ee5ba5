"""What is checked before any job, for each kind of tasks. Reads names and labels, no voxel."""

from collections.abc import Callable, Sequence

from segtrans.config.params import Params
from segtrans.sources.brats import preflight as brats
from segtrans.sources.cluttered_mnist import preflight as cluttered_mnist
from segtrans.sources.own_kinds import KINDS

# Of a kind: the check of its chosen tasks; raises UserError.
CHECKS: dict[str, Callable[[Params, Sequence[str]], None]] = {
    "cluttered_mnist": cluttered_mnist.check,
    "half_slices": brats.check,
    "half_volumes": brats.check,
    **{name: kind.check for name, kind in KINDS.items()},
}
