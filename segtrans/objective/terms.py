"""Equation 7: named terms and their weights to one total."""

from collections.abc import Mapping

from torch import Tensor

# Each weight with the sets of terms that it may stand for; the terms of a set are summed.
_TERM_SETS: dict[str, tuple[tuple[str, ...], ...]] = {
    "lambda_seg": (("seg",), ("seg", "seg_2")),  # equation 8; of two networks
    "lambda_rec": (
        ("rec_PP", "rec_AA"),  # equation 9
        ("rec_x",),  # its counterpart in the autoencoding baseline: x is P and A
        # Of several pathologies: and no residual of those that are known to be absent.
        ("rec_PP", "rec_AA", "rec_lacking"),
    ),
    "lambda_lat": (  # equation 10
        ("lat_c_PA", "lat_c_AP", "lat_c_AA", "lat_c_PP", "lat_u_PP", "lat_u_AP"),
    ),
    "lambda_cyc": (("cyc_APA",),),  # equation 11
    "lambda_adv": (("adv_A", "adv_P"),),  # equation 12
    "lambda_keep": (("keep_PA",),),  # of labelled images, what is no target stays
    "lambda_cons": (("cons",),),  # mean teachers: student and teacher agree
    "lambda_pseudo": (("pseudo",), ("pseudo", "pseudo_2")),  # pseudo-labels; of two networks
}

# Batches may lack the images that these are about: labelled ones, or others.
_MAY_BE_ABSENT = ("lambda_seg", "lambda_keep", "lambda_cons", "lambda_pseudo")

TERM_WEIGHTS: dict[str, str] = {
    term: weight
    for weight, term_sets in _TERM_SETS.items()
    for terms in term_sets
    for term in terms
}


def weighted_total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The sum of all terms, each times its weight (equation 7).

    Args:
        terms: 0-d tensors by name; `seg` and `keep_PA` may be absent, when no image of the batch is
            labelled, so may `cons` and `pseudo`, when all are, and the terms of a weight of 0.
        weights: by name, `lambda_seg` and so on; those of the method, no more.

    Returns:
        A 0-d tensor.

    Raises:
        ValueError: a term is unknown, lacks its weight or is missing; a weight is unknown.
    """
    _check(terms, weights)
    first, *rest = terms
    total = terms[first] * weights[TERM_WEIGHTS[first]]
    for name in rest:
        total = total.add(terms[name], alpha=weights[TERM_WEIGHTS[name]])
    return total


def _check(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> None:
    if not terms:
        raise ValueError("the objective has no terms")
    for name in terms:
        if name not in TERM_WEIGHTS:
            raise ValueError(f"unknown term {name}: allowed: {', '.join(sorted(TERM_WEIGHTS))}")
        if TERM_WEIGHTS[name] not in weights:
            raise ValueError(f"term {name} has no weight {TERM_WEIGHTS[name]}")
    for weight in weights:
        if weight not in _TERM_SETS:
            raise ValueError(f"unknown weight {weight}: allowed: {', '.join(_TERM_SETS)}")
        given = {name for name in terms if TERM_WEIGHTS[name] == weight}
        may_be_absent = weight in _MAY_BE_ABSENT or weights[weight] == 0
        if not (given in map(set, _TERM_SETS[weight]) or (may_be_absent and not given)):
            expected = " or ".join(", ".join(names) for names in _TERM_SETS[weight])
            raise ValueError(f"{weight} weighs {sorted(given)}: expected {expected}")
