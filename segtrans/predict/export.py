"""A trained run as an ONNX model, with what stands before and behind its networks."""

import importlib
import logging
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segtrans.atomic import atomic_path
from segtrans.config.runs import Run, read_run
from segtrans.errors import UserError
from segtrans.methods.weights import load_method
from segtrans.predict.network_of_pictures import NetworkOfIntensities, NetworkOfPictures
from segtrans.predict.prepared import PicturePreparation, preparation_of_pictures

PixelType = Literal["uint8", "uint16", "float32"]

_NEEDED = ("onnx", "onnxscript", "onnxruntime")
_TOLERANCE = 1e-3  # between torch and ONNX Runtime, whose convolutions round otherwise
_EXAMPLE = (96, 80)  # rows and columns; any would do


def export_run(run_folder: Path, output: Path, *, pixels: PixelType) -> str:
    """Write the segmentation of a run's best weights as ONNX, held against torch before.

    Args:
        run_folder: of any task.
        output: the file.
        pixels: type of the pictures' values, where pictures are what the model takes.

    Returns:
        What the model takes and gives, in a line; the file has it too, as its description.

    Raises:
        UserError: a package of the extra `export` is missing, the run is damaged, or ONNX Runtime
            computes something else than torch; nothing is written then.
    """
    for name in _NEEDED:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UserError(
                f"{name} is missing, which export needs: pip install 'segtrans[export]'"
            ) from error
    run = read_run(run_folder)
    prepared = preparation_of_pictures(run) if run.has_pictures else None
    network, example, names, said = _network_of(run, prepared, pixels)
    dynamic = {axis: torch.export.Dim(name, min=2) for axis, name in names.items()}
    program = _exported(network.eval(), example, dynamic)
    program.model.doc_string = said
    if prepared is not None and prepared.type is not None:
        program.model.metadata_props["trained_on_type"] = prepared.type
    with atomic_path(output) as temporary:
        program.save(temporary, external_data=False)
        _check(temporary, network, example)
    return said


def doubt_of_pixels(run_folder: Path, pixels: PixelType) -> str | None:
    """Why the exported run may not be made for pictures of a type; None where nothing says so."""
    run = read_run(run_folder)
    if not run.has_pictures or (prepared := preparation_of_pictures(run)).definition.has_parts:
        return None
    doubt = prepared.doubt_of(pixels)
    return f"the model takes {pixels}, and {doubt}" if doubt else None


def _network_of(
    run: Run, prepared: PicturePreparation | None, pixels: PixelType
) -> tuple[nn.Module, Tensor, dict[int, str], str]:
    """The network, an example of what it takes, its axes of any length, and what it does."""
    method = load_method(run, which="best")
    task = run.config.definition
    generator = np.random.default_rng(0)
    names = ["background", *task.classes] if task.n_classes > 1 else [*task.classes]
    if task.pathologies:
        names = [*run.config.maps] or [" or ".join(task.pathologies)]
    gives = f"gives probabilities: {len(names)} map{'s' * (len(names) > 1)} ({', '.join(names)})"
    if prepared is None or prepared.definition.has_parts:
        r = run.config.neighbours
        shape = (run.config.n_input_channels, *task.image_size)
        beside = f", of {r} slices on either side too, in the order of the axis" if r else ""
        axes = "slices, rows, columns" if len(task.image_size) == 3 else "rows, columns"
        example = torch.from_numpy(generator.uniform(-1, 1, shape).astype(np.float32))
        said = (
            f"Takes intensities in [-1, 1] of one image as in its data set, float32 {shape}: "
            f"channels {', '.join(task.channels)}{beside}, {axes}; neither intensity nor "
            f"size are changed in it; {gives} of its size."
        )
        return NetworkOfIntensities(method), example, {}, said
    largest = 1.0 if pixels == "float32" else float(np.iinfo(pixels).max)
    picture = _example(generator, len(task.channels), largest, pixels)
    channels = f"{len(task.channels)}: {', '.join(task.channels)}"
    own, trained = prepared.definition, prepared.type
    on = f"; the run was trained on {trained}" if trained is not None else ""
    said = (
        f"Takes one picture as its file holds it, {pixels} (rows, columns, {channels}) of any size "
        f"from 2 x 2; intensity ({own.intensity.mode}) and size ({own.size} to "
        f"{task.height} x {task.width}, and back) are in it; {gives} of the picture's size{on}."
    )
    network = NetworkOfPictures(method, own, largest=largest)
    return network, torch.from_numpy(picture), {0: "height", 1: "width"}, said


def _example(
    generator: np.random.Generator, n_channels: int, largest: float, pixels: PixelType
) -> NDArray[Any]:
    values = generator.uniform(0, largest, (*_EXAMPLE, n_channels))
    return values.astype(pixels)


def _exported(network: nn.Module, example: Tensor, dynamic: dict[int, Any]) -> Any:
    # It says which packages of others it would know operations of.
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.onnx.export(
                network,
                (example,),
                input_names=["picture" if dynamic else "intensities"],
                output_names=["probabilities"],
                dynamic_shapes=(dynamic or None,),
                dynamo=True,
                verbose=False,
            )
    finally:
        logger.setLevel(level)


def _check(file: Path, network: nn.Module, example: Tensor) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: example.numpy()})
    with torch.no_grad():  # not inference mode: caches share tensors with training
        expected = network(example).numpy()
    if found.shape != expected.shape or not np.abs(found - expected).max() < _TOLERANCE:
        raise UserError(
            f"ONNX Runtime {onnxruntime.__version__} does not compute what torch "
            f"{torch.__version__} does; nothing was written; use other versions of them"
        )
