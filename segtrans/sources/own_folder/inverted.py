"""Masks that may mark the background, not the target."""

from collections.abc import Iterator, Mapping
from statistics import median, median_low

_MOST_TARGET = 0.5  # of a picture or a scan
_USUAL_TARGET = 0.25  # of it, for larger masks to be odd
_MOST_NAMED = 5


def inverted_masks(shares: Mapping[str, float], of_what: str) -> Iterator[str]:
    """A warning where most masks mark most of what they belong to, or a few do and no others.

    Args:
        shares: in [0, 1], that a mask marks as target, by the name of its picture or scan.
        of_what: the mask marks a share of, such as "picture".
    """
    if not shares:
        return
    swap = "if 0 is the target and not the background, swap the values"
    usual = median_low(shares.values())  # not between two: half of them may be inverted
    large = [name for name, share in shares.items() if share > _MOST_TARGET]
    if large and usual < _USUAL_TARGET:
        more = f" and {len(large) - _MOST_NAMED} more" if len(large) > _MOST_NAMED else ""
        yield (
            f"WARNING: masks of {', '.join(large[:_MOST_NAMED])}{more} mark more than "
            f"{_MOST_TARGET:.0%} of their {of_what}, half of all masks {usual:.1%} or less: {swap}"
        )
    elif (middle := median(shares.values())) > _MOST_TARGET:
        yield (
            f"WARNING: half of the masks mark {middle:.0%} of their {of_what} or more as target: "
            f"{swap}"
        )
