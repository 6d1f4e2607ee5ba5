"""Batches of a data set, augmented, and which of its images are labelled."""
