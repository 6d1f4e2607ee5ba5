"""The registered model as MLflow loads it: this file is stored with it and run, nothing pickled.

Beside it lies the package's source. MLflow puts that first on Python's path, which changes nothing
where a `segtrans` is imported already: so this file imports it only after a look at which it is.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class Segmenter(PythonModel):
    """Segments images with the best weights of one run, on the CPU."""

    def load_context(self, context: Any) -> None:
        """Build the network of the run folder that is stored with the model.

        Raises:
            RuntimeError: another source of the package is imported in this process already.
        """
        run = Path(context.artifacts["run"])
        _check_source(run.parents[1])
        from segtrans.config.runs import read_run
        from segtrans.methods.inference import served_probability
        from segtrans.methods.weights import load_method

        read = read_run(run)
        if read.has_pictures:
            from segtrans.predict.served import PictureSegmenter

            self._pictures = PictureSegmenter(read)
        else:
            self._probability = served_probability
            self._method = load_method(read, which="best")

    # Without types: MLflow would take them for a declaration of the served format.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Segment images of a data set, or pictures of any size.

        Args:
            context: MLflow's, not read.
            model_input: of a run on pictures, a table with column `image`, the bytes of a file
                each; else images (N, C, H, W) float32 in [-1, 1], as in a data set.
            params: of a run on pictures, `threshold`, of the masks.

        Returns:
            Of pictures, a table: mask and probability as PNG in the picture's own size,
            max_probability, score and doubt. Else the probability that a pixel belongs to a lesion,
            (N, H, W) float32 in [0, 1]; of several pathologies of each, (N, K, H, W).
        """
        if hasattr(self, "_pictures"):
            import pandas as pd

            threshold = (params or {}).get("threshold", 0.5)
            rows = [self._pictures.segment(bytes(x), threshold) for x in model_input["image"]]
            return pd.DataFrame(rows)
        import torch

        x = torch.from_numpy(np.ascontiguousarray(model_input, np.float32))
        return self._probability(self._method, x).numpy()


def _check_source(model: Path) -> None:
    import segtrans

    imported, stored = Path(segtrans.__file__).parent, model / "code" / "segtrans"
    if _sha256(imported) != _sha256(stored):
        raise RuntimeError(
            f"the model in {model} was registered with another source of segtrans than the one in "
            f"{imported}, which this process has imported; load it in a process of its own"
        )


def _sha256(package: Path) -> str:
    total = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        total.update(f"{file.relative_to(package).as_posix()}\n".encode())
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


set_model(Segmenter())
