"""Which files of a folder are channels of one case, by the numbers that their names end in."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from segtrans.sources.own_folder.names import are_channels, channel_of


def numbered(
    files: Mapping[str, Sequence[Path]], *, has_numbers: bool
) -> dict[str, dict[int, Path]]:
    """Files by case and number of the channel; -1 of a case that is one file."""
    cases: dict[str, dict[int, Path]] = defaultdict(dict)
    for name, (path, *_) in sorted(files.items()):
        case, number = (channel_of(name) if has_numbers else None) or (name, -1)
        cases[case][number] = path
    return cases


def have_numbers(names: Sequence[str], masks: set[str], n_channels: int | None) -> bool:
    """Whether `_0000` at the end of names counts channels, not cases; see `are_channels`."""
    if are_channels(names, masks, n_channels):
        return True
    found = [channel for name in names if (channel := channel_of(name))]
    if n_channels == 1 or any(f"{case}_{number:04d}" in masks for case, number in found):
        return False
    numbers: dict[str, set[int]] = defaultdict(set)
    for case, number in found:
        numbers[case].add(number)
    return 2 * sum({0, 1} <= of for of in numbers.values()) > len(numbers)
