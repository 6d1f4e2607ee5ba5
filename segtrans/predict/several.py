"""What is written of several pathologies, each by itself: the same for pictures and scans."""

from collections.abc import Mapping

# Kinds of which every pathology has a file; `without`: it removed, and all others left.
OF_EACH = ("mask", "probability", "without", "residual")


def names_of_each(kind: str, pathologies: tuple[str, ...]) -> tuple[str, ...]:
    """The pathologies that have files of a kind; one without a name where there is one file."""
    return pathologies if pathologies and kind in OF_EACH else ("",)


def place_of(kind: str, pathology: str, name: str) -> str:
    """Where a file lies below the output: `<kind>/<name>`, or `<kind>/<pathology>/<name>`."""
    return "/".join([kind, *([pathology] if pathology else []), name])


def columns_of_each(what: str, values: Mapping[str, float | int], form: str) -> dict[str, str]:
    """Columns of the table, `<what>_<name>` for each name, with values written as `form` says."""
    return {f"{what}_{name}": format(value, form) for name, value in values.items()}
