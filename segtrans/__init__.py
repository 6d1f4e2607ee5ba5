"""Semi-supervised segmentation by translation between presence and absence."""

__version__ = "0.1.0"
