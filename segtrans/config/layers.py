"""Lay parameters over each other: the last layer that names a value wins, for every task.

A layer is params.yaml, each file of --configfile, and all of --config together. Within one layer
the particular wins over the general: `overrides` of a task over its block, the weights of an
ablation over those of its parent. Between layers the later one wins, so that what is typed last has
its way.
An empty mapping takes out what earlier layers have in `overrides` or `variants`; elsewhere, where
nothing can be left out, it changes nothing.
"""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

from segtrans.config.blocks import ObjectiveParams
from segtrans.config.catalogue import METHODS, lineage
from segtrans.config.refusals import nearest, validate
from segtrans.errors import UserError

Content = dict[str, Any]
PARTICULAR = ("overrides", "variants")


def merge(layers: Iterable[tuple[str, Content]]) -> Content:
    """One mapping of all layers.

    Args:
        layers: name and content of each, the default first.

    Returns:
        The content, weights of the objective by method, without the `overrides` of earlier layers
        that a later one beats.

    Raises:
        UserError: a layer names weights that do not exist, or a value that has no use.
    """
    merged: Content = {}
    for name, content in layers:
        _refuse_scale(name, content)
        upper = _by_method(name, content)
        general = {key: value for key, value in upper.items() if key not in PARTICULAR}
        for _, own in _blocks(merged, "overrides"):
            _forget(own, general)
        _empty(merged, {key: upper[key] for key in PARTICULAR if key in upper})
        lay_over(merged, upper)
        _check_patients(name, upper, merged)
    return merged


def _refuse_scale(name: str, content: Content) -> None:
    if "scale" in content:
        value = content["scale"]
        raise UserError(f"{name}: scale = {value}: the key is called preset; write preset: {value}")


def lay_over(base: Content, upper: Content) -> None:
    """Lay a mapping over another, in place, key by key; an empty one changes nothing."""
    for key, value in upper.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            lay_over(base[key], value)
        else:
            base[key] = copy.deepcopy(value)


def flat(content: Content, prefix: str = "") -> dict[str, Any]:
    """Every value of nested mappings by its dotted key."""
    values: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            values |= flat(value, f"{prefix}{key}.")
        else:
            values[f"{prefix}{key}"] = value
    return values


def _blocks(content: Content, key: str) -> Iterator[tuple[str, Content]]:
    blocks = content.get(key)
    for name, block in blocks.items() if isinstance(blocks, dict) else ():
        if isinstance(block, dict):
            yield name, block


def _empty(base: Content, upper: Content) -> None:
    """Empty what an empty mapping stands for in `upper`."""
    for key, value in upper.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            if value:
                _empty(base[key], value)
            else:
                base[key].clear()


def _forget(own: Content, general: Content) -> None:
    """Take out of `own` what `general` names."""
    for key, value in general.items():
        if isinstance(value, dict) and isinstance(own.get(key), dict):
            _forget(own[key], value)
            if own[key]:
                continue
        own.pop(key, None)


def _by_method(name: str, content: Content) -> Content:
    """The content of a layer, its weights of the objective by method."""
    content = copy.deepcopy(content)
    places = [(name, content)]
    places += [(f"{name}, overrides of {t}", block) for t, block in _blocks(content, "overrides")]
    places += [(f"{name}, variant {v}", block) for v, block in _blocks(content, "variants")]
    for place, block in places:
        if "objective" in block:
            objective = {"objective": block["objective"]}
            named = validate(ObjectiveParams, objective, origin=place).objective
            _check_names(place, named)
            block["objective"] = _spread(named)
    return content


def _spread(named: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """What a method is given, given to its ablations too, but for what these have of their own."""
    spread: dict[str, dict[str, float]] = {}
    for method in METHODS:
        for name in lineage(method):
            if name in named:
                spread[method] = spread.get(method, {}) | named[name]
    return spread


def _check_names(place: str, named: dict[str, dict[str, float]]) -> None:
    for name, weights in named.items():
        if name not in METHODS:
            raise UserError(f"{place}: objective.{name}: {nearest(name, METHODS)}")
        known = METHODS[name].weights
        for key in weights:
            if key not in known:
                raise UserError(f"{place}: objective.{name}.{key}: {nearest(key, known)}")


def _check_patients(name: str, upper: Content, merged: Content) -> None:
    """A number of patients is refused where they are no phantoms: it would change nothing."""
    asked, brats = upper.get("brats"), merged.get("brats")
    if not isinstance(asked, dict) or not isinstance(brats, dict) or "n_patients" not in asked:
        return
    source = brats.get("source", "phantom")
    if source != "phantom":
        raise UserError(
            f"{name}: brats.n_patients = {asked['n_patients']}: used by source phantom alone, the "
            f"source is {source}; leave it out"
        )
