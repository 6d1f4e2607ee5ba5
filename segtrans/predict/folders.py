"""Predict what a folder of the user's own holds, as the run was trained on."""

from collections.abc import Sequence
from pathlib import Path

from segtrans.config.runs import read_run


def predict_folder(
    run_folder: Path,
    source: Path,
    output: Path,
    *,
    threshold: float,
    kinds: Sequence[str] | None,
) -> Path:
    """Write what a run makes of pictures or scans, whichever it was trained on, and a table.

    Args:
        run_folder: a run on a folder of the user's own.
        source: a folder of the same, or a single one.
        output: folder to write to.
        threshold: probability above which a pixel is segmented.
        kinds: of files to write; None: those that are written without being asked for.

    Returns:
        The table.

    Raises:
        UserError: as `predict_pictures` and `predict_scans`.
    """
    # Each brings libraries that the other does not need: a second of importing.
    if read_run(run_folder).has_scans:
        from segtrans.predict.own_scans import predict_scans

        return predict_scans(run_folder, source, output, threshold=threshold, kinds=kinds)
    from segtrans.predict.pictures import DEFAULT_KINDS, predict_pictures

    kinds = DEFAULT_KINDS if kinds is None else kinds
    return predict_pictures(run_folder, source, output, threshold=threshold, kinds=kinds)
