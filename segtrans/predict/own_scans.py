"""Segment and translate scans of the user's own, each in its own geometry and under its name."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from segtrans.config.runs import Run, read_run
from segtrans.digests import file_sha256
from segtrans.errors import UserError, UserErrors
from segtrans.methods.inference import Translates
from segtrans.methods.weights import WEIGHTS, load_method
from segtrans.predict.checks import check_kinds, check_places, kinds_of
from segtrans.predict.picture_stream import Networks
from segtrans.predict.prepared import ScanPreparation, preparation_of_scans
from segtrans.predict.scan_files import KINDS, ScanRecord, encoded, names_of, predict_scan
from segtrans.predict.scan_list import ListedScans, find_scans
from segtrans.predict.several import names_of_each
from segtrans.predict.written import Settings, Written
from segtrans.sources.scan_folder.item import ScanFiles
from segtrans.sources.scan_folder.reading import source_files
from segtrans.sources.scan_folder.scan import Scan, read_scan

_OTHER_SPACING = 2.0  # times the training's, either way


def predict_scans(
    run_folder: Path,
    source: Path,
    output: Path,
    *,
    threshold: float,
    kinds: Sequence[str] | None,
) -> Path:
    """Write what a run makes of scans, and a table of them.

    A scan's files are `<output>/<kind>/<its name>`, NIfTI in its own geometry and a picture for an
    overview. What `output` has of these scans already is not made again: a stopped run goes on.

    Args:
        run_folder: a run on a folder of scans.
        source: a folder of scans, or a single one, as `find_scans` has them.
        output: folder to write to.
        threshold: probability above which a voxel is segmented.
        kinds: some of `KINDS`; None: all that the run's method makes.

    Returns:
        The table: case, largest probability, volume and number of connected parts of each, and of
        each of several pathologies.

    Raises:
        UserErrors: some scans cannot be read, a line each; all others were predicted. Where none
            can be, nothing is written.
        UserError: the run is damaged, `kinds` are not what its method makes, there is no scan, or
            the output is that of another run or threshold, lies among the scans or holds files
            that this command did not write; nothing is written then.
    """
    run = read_run(run_folder)
    prepared = preparation_of_scans(run)
    check_places(run_folder, source, output, kinds=KINDS, what="scans")
    listed = find_scans(source, prepared.definition)
    method = load_method(run, which="best")
    can_translate = isinstance(method, Translates)
    if kinds is None:
        kinds = kinds_of(KINDS, run, can_translate=can_translate)
    check_kinds(kinds, KINDS, run, can_translate=can_translate)
    written = _list_of(run, output, listed, kinds, threshold)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # The overview shows translations where they are made.
    networks = Networks(method.to(device), with_translation=can_translate)
    prediction = _Prediction(run, prepared, networks, written, tuple(kinds), threshold)
    table, faults = prediction.run(listed.scans)
    if listed.skipped:
        print(f"segtrans: passed over {listed.skipped.named(source)}", file=sys.stderr)
    if listed.faults or faults:
        n_done = len(listed.scans) - len(faults)
        faults = [*listed.faults, *faults]
        raise UserErrors([*faults, written.said("scan", n_left_out=len(faults), n=n_done)])
    return table


def _list_of(
    run: Run, output: Path, listed: ListedScans, kinds: Sequence[str], threshold: float
) -> Written[ScanRecord]:
    """What the output has already; refuses to write over what is not ours."""
    weights = file_sha256(run.folder / WEIGHTS["best"])
    settings = Settings(weights=weights, threshold=threshold, source=str(listed.folder))
    written = Written(output, settings, ScanRecord)
    written.check(
        name
        for scan in listed.scans
        for kind in kinds
        for pathology in names_of_each(kind, run.config.maps)
        for name in names_of(scan.case_id, tuple(scan.channels), kind, pathology).values()
    )
    return written


@dataclass(frozen=True)
class _Prediction:
    """The prediction of scans with some settings."""

    trained: Run
    prepared: ScanPreparation
    networks: Networks
    written: Written[ScanRecord]
    kinds: tuple[str, ...]
    threshold: float

    def run(self, scans: Sequence[ScanFiles]) -> tuple[Path, list[str]]:
        """Predict all scans that are not yet; the table of all, and what is wrong with some."""
        faults: dict[str, str] = {}
        with self.written:
            for files in tqdm(scans, unit="scan", disable=None):
                try:
                    self._predict(files)
                except UserError as error:  # names the file or the scan
                    faults[files.case_id] = str(error)
            return self.written.finish(faults), list(faults.values())

    def _predict(self, files: ScanFiles) -> None:
        paths = [path for channel in files.channels.values() for path in source_files(channel)]
        sources = tuple(file_sha256(path) for path in paths)
        if self.written.is_done(files.case_id, sources, self.kinds):
            return
        spacing_mm = self.prepared.spacing_mm
        scan = read_scan(files, self.prepared.definition, spacing_mm=spacing_mm)
        doubts = _doubts(self.prepared, scan)
        for doubt in doubts:
            print(f"segtrans: warning: {files.case_id}: {doubt}", file=sys.stderr)
        run = self.trained
        predicted = predict_scan(
            scan,
            self.networks,
            threshold=self.threshold,
            neighbours=run.config.neighbours,
            pathologies=run.config.maps,
        )
        title = f"{files.case_id}: {run.method_name}, {run.config.training.iterations:,} iterations"
        contents = {
            name: content
            for kind in self.kinds
            for name, content in encoded(kind, predicted, title=title, doubts=doubts)
        }
        self.written.add(predicted.record(sources), contents)


def _doubts(prepared: ScanPreparation, scan: Scan) -> tuple[str, ...]:
    """Why the run may not be made for this scan, a sentence each."""
    own = [scan.geometry.spacing_mm[axis] for axis in prepared.definition.lps_axes]
    ratios = np.array(own) / prepared.spacing_mm
    doubts = list(scan.notes)
    if ratios.max() >= _OTHER_SPACING or ratios.min() <= 1 / _OTHER_SPACING:
        voxels, trained = (
            " x ".join(f"{mm:.4g}" for mm in of) for of in (own, prepared.spacing_mm)
        )
        doubts.append(
            f"voxels of {voxels} mm, along columns, rows and slices; the run was trained at "
            f"{trained} mm, to which the scan was resampled"
        )
    return tuple(doubts)
