"""Segment new images with a trained run."""
