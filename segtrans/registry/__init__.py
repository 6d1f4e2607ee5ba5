"""MLflow's model registry: the best run of each row, loadable and servable without this code."""

from segtrans.registry.register import model_name, register_best

__all__ = ["model_name", "register_best"]
