"""Which part of a slice an image is."""

SIDES = ("right", "left")  # of a patient
WHOLE = "whole"
