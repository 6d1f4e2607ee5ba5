"""The registered model as MLflow loads it: this file is stored with it and run, nothing pickled."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from segtrans.evaluate.segmentation import lesion_probability
from segtrans.methods.weights import load_method
from segtrans.runs import read_run


class Segmenter(PythonModel):
    """Segments images with the best weights of one run, on the CPU."""

    def load_context(self, context: Any) -> None:
        """Build the network of the run folder that is stored with the model."""
        self._method = load_method(read_run(Path(context.artifacts["run"])), which="best")

    # Without types: MLflow would take them for a declaration of the served format.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Probability that a pixel belongs to a lesion.

        Args:
            context: MLflow's, not read.
            model_input: images (N, C, H, W) float32 in [-1, 1], as in a data set.
            params: MLflow's, not read.

        Returns:
            (N, H, W) float32 in [0, 1].
        """
        x = torch.from_numpy(np.ascontiguousarray(model_input, np.float32))
        return lesion_probability(self._method, x).numpy()


set_model(Segmenter())
