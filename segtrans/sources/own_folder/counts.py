"""What a folder's images of P show of several pathologies, in lines for whoever checks it."""

from collections.abc import Iterator, Sequence

from segtrans.data.pathologies import Knowledge, count_known


def counts_of_pathologies(
    pathologies: Sequence[str], known: Knowledge, images: str
) -> Iterator[str]:
    """How many images show each pathology, do not, may, and have a mask of it, a line each.

    Args:
        pathologies: their names; without any, or without images, there is nothing to say.
        known: of all images of P.
        images: what these are, in the plural.
    """
    if not len(known.t):
        return
    for name, n_shown, n_not, n_open, n_masks in count_known(pathologies, known):
        yield (
            f"{name}: {n_shown} {images} show it, {n_not} do not, of {n_open} it is not known; "
            f"{n_masks} with a mask of it"
        )
