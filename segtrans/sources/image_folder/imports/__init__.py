"""Data sets in the layouts of others, as folders of present/, absent/ and masks/."""
