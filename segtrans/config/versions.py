"""Numbers of the stages, raised by hand when the same parameters would give another result.

They are part of what the workflow compares, so a comment or a refactoring never costs a night of
training, and a change of results always does. Golden tests hold a tiny result of each stage and
fail when it changed and its number did not.
"""

STORE_VERSION = 2  # layout of a data set's file; others are refused
CLUTTER_VERSION = 1
FIGURES_VERSION = 1  # of tasks of cluttered digits with figures alone
PHANTOM_VERSION = 1
WHITE_MATTER_VERSION = 1  # of phantoms with white-matter lesions alone
SPLIT_VERSION = 3
HALF_SLICES_VERSION = 2
HALF_VOLUMES_VERSION = 1
IMAGE_FOLDER_VERSION = 1
SCAN_FOLDER_VERSION = 1
TRAINING_VERSION = 4
EVALUATION_VERSION = 6

# How often a method was raised alone, which costs the others nothing. Never taken back.
_RAISED_ALONE = {
    "fixmatch": 1,
    "mean_teacher": 1,
    "uncertainty_mean_teacher": 1,
    "copy_paste": 1,
    "self_training": 1,
}


def training_version(method: str, first_round: str | None = None) -> int:
    """The number of a method's training, and of the method that is its first round."""
    raised = [_RAISED_ALONE.get(name, 0) for name in (method, first_round) if name is not None]
    return TRAINING_VERSION + sum(raised)
