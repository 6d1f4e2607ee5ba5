"""Segment and translate pictures with a trained run, each in its own size and under its name."""

import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from segtrans.config.runs import read_run
from segtrans.digests import file_sha256
from segtrans.errors import UserError, UserErrors
from segtrans.methods.inference import Translates
from segtrans.methods.weights import WEIGHTS, load_method
from segtrans.predict.checks import BY_TRANSLATION, check_kinds, check_places
from segtrans.predict.picture_files import (
    KINDS,
    PicturePrediction,
    PictureRecord,
    encoded,
)
from segtrans.predict.picture_list import Listed, PictureFiles, find_pictures
from segtrans.predict.picture_stream import (
    BATCH_SIZE,
    Loaded,
    Networks,
    in_order,
    one_processor_left,
    through,
)
from segtrans.predict.prepared import (
    PicturePreparation,
    preparation_of_pictures,
    read_finite_image,
)
from segtrans.predict.several import names_of_each, place_of
from segtrans.predict.written import Settings, Written
from segtrans.processors import n_processors
from segtrans.sources.image_folder.fitting import Fitting

DEFAULT_KINDS = ("mask", "probability", "overlay")
_SUFFIXES = (".png", ".tif", ".jpg")  # of what is written


def predict_pictures(
    run_folder: Path, source: Path, output: Path, *, threshold: float, kinds: Sequence[str]
) -> Path:
    """Write what a run makes of pictures, and a table of them.

    A picture's files are `<output>/<kind>/<its path>`, in its own size (`encoded` says how). What
    `output` has of these pictures already is not made again: a stopped run goes on.

    Args:
        run_folder: a run on a folder of pictures.
        source: a folder, whose sub-folders are kept, or a single picture.
        output: folder to write to.
        threshold: probability above which a pixel is segmented.
        kinds: some of `KINDS`.

    Returns:
        The table: path, largest probability, area and score of each picture, and of each of several
        pathologies.

    Raises:
        UserErrors: some pictures cannot be read, a line each; all others were predicted. Where
            none can be, nothing is written.
        UserError: the run is of another task or damaged, `kinds` are not what its method makes,
            there is no picture, or the output is that of another run or threshold, lies among the
            pictures or holds files that this command did not write; nothing is written then.
    """
    run = read_run(run_folder)
    prepared = preparation_of_pictures(run)
    task = prepared.definition
    check_places(run_folder, source, output, kinds=KINDS, what="pictures")
    listed = find_pictures(source, n_channels=len(task.channels))
    method = load_method(run, which="best")
    check_kinds(kinds, KINDS, run, can_translate=isinstance(method, Translates))
    weights = file_sha256(run_folder / WEIGHTS["best"])
    settings = Settings(weights=weights, threshold=threshold, source=str(listed.folder))
    written = Written(output, settings, PictureRecord)
    names = run.config.maps
    written.check(
        place_of(kind, name, picture.name + suffix)
        for picture in listed.pictures
        for kind in kinds
        for name in names_of_each(kind, names)
        for suffix in _SUFFIXES
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    networks = Networks(
        method.to(device), with_translation=any(kind in BY_TRANSLATION for kind in kinds)
    )
    prediction = _Prediction(prepared, written, threshold, tuple(kinds), names)
    table = prediction.run(listed, networks)
    for doubt in prediction.doubts():
        print(f"segtrans: warning: {doubt}", file=sys.stderr)
    if listed.skipped:
        print(f"segtrans: passed over {listed.skipped.named(source)}", file=sys.stderr)
    if faults := [*listed.faults, *prediction.faults.values()]:
        n = len(listed.pictures) - len(prediction.faults)
        raise UserErrors([*faults, written.said("picture", n_left_out=len(faults), n=n)])
    return table


@dataclass(frozen=True)
class _Bad:
    """A picture that cannot be read, and what is wrong with it."""

    image: str
    fault: str


class _Prediction:
    """The prediction of pictures with some settings.

    Attributes:
        faults: of pictures that could not be read, a line each, by what they are called.
    """

    def __init__(
        self,
        prepared: PicturePreparation,
        written: Written[PictureRecord],
        threshold: float,
        kinds: tuple[str, ...],
        pathologies: tuple[str, ...],
    ) -> None:
        self._task, self._prepared = prepared.definition, prepared
        self._written, self._threshold = written, threshold
        self._kinds, self._pathologies = kinds, pathologies
        self.faults: dict[str, str] = {}
        self._of_type: dict[str, list[str]] = defaultdict(list)

    def doubts(self) -> Iterator[str]:
        """Why the run may not be made for pictures that were predicted, a line each."""
        for name, pictures in self._of_type.items():
            if doubt := self._prepared.doubt_of(name):
                n = len(pictures)
                some = f"1 picture holds {name}, {pictures[0]}"
                if n > 1:
                    some = f"{n} pictures hold {name}, the first of them {pictures[0]}"
                yield f"{some}, and {doubt}"

    def run(self, listed: Listed, networks: Networks) -> Path:
        """Predict all pictures that are not yet, and write the table of all."""
        n_workers = n_processors()
        # A whole batch is read and written while networks see another; the tiles of one picture
        # are many batches, and more than a few such pictures would not fit into memory.
        ahead = n_workers + (1 if self._task.has_parts else BATCH_SIZE)
        pictures = tqdm(listed.pictures, unit="picture", disable=None)
        with ExitStack() as stack:
            # Readers silence warnings each for itself, which threads cannot.
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            stack.enter_context(self._written)
            stack.enter_context(one_processor_left())
            readers, writers = (ThreadPoolExecutor(n_workers) for _ in range(2))
            for pool in (readers, writers):
                stack.callback(pool.shutdown, cancel_futures=True)
            loaded = self._good(in_order(readers, self._load, pictures, ahead=ahead))
            for _ in in_order(writers, self._write, through(networks, loaded), ahead=ahead):
                pass
            return self._written.finish(self.faults)

    def _good(self, loaded: Iterable[Loaded | _Bad | None]) -> Iterator[Loaded]:
        for one in loaded:
            if isinstance(one, _Bad):
                self.faults[one.image] = one.fault
            elif one is not None:
                self._of_type[one.picture.dtype.name].append(one.files.image)
                yield one

    def _load(self, files: PictureFiles) -> Loaded | _Bad | None:
        """A picture, what is wrong with it, or None when it was predicted before."""
        try:
            sources = tuple(file_sha256(path) for path in files.files)
            if self._written.is_done(files.image, sources, self._kinds):
                return None
            picture = read_finite_image(files.files, self._task)
            fitting = Fitting((picture.shape[0], picture.shape[1]), self._task)
            return Loaded(files, sources, picture, fitting, fitting.views(picture))
        except UserError as error:
            message = str(error)
            named = message if str(files.files[0]) in message else f"{files.files[0]}: {message}"
            return _Bad(files.image, named)
        except OSError as error:
            return _Bad(files.image, f"{files.files[0]}: cannot be read ({error.strerror})")

    def _write(self, made: tuple[Loaded, list[NDArray[np.float32]]]) -> None:
        loaded, maps = made
        predicted = PicturePrediction.of(
            loaded.picture,
            [loaded.fitting.joined(of_views) for of_views in maps],
            threshold=self._threshold,
            pathologies=self._pathologies,
        )
        contents = {
            place.format(loaded.files.name): content
            for kind in self._kinds
            for place, content in encoded(kind, predicted, self._task).items()
        }
        self._written.add(self._record(loaded, predicted), contents)

    def _record(self, loaded: Loaded, predicted: PicturePrediction) -> PictureRecord:
        task, whole, of_each = self._task, predicted.whole, predicted.of_each
        areas = {name: int(np.count_nonzero(seen.mask)) for name, seen in of_each.items()}
        if task.n_classes > 1:
            areas = {name: int(np.sum(whole.mask == k)) for name, k in task.classes.items()}
        share = task.min_target_fraction
        return PictureRecord(
            image=loaded.files.image,
            sources=loaded.sources,
            files={},
            max_probability=float(whole.probability.max()),
            area=int(np.count_nonzero(whole.mask)),
            areas=areas,
            score=whole.score(share),
            max_probabilities={name: float(of.probability.max()) for name, of in of_each.items()},
            scores={name: seen.score(share) for name, seen in of_each.items()},
        )
