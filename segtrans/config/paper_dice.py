"""The paper's Dice as (mean, standard deviation), by task and method: Tables 1a and 1b."""

PAPER_DICE: dict[str, dict[str, tuple[float, float]]] = {
    "mnist48_simple": {
        "segmentation_only": (0.61, 0.01),
        "autoencoder": (0.75, 0.01),
        "translation": (0.79, 0.01),
        "translation_separate": (0.78, 0.02),
    },
    "mnist48_hard": {
        "segmentation_only": (0.36, 0.01),
        "autoencoder": (0.49, 0.02),
        "translation": (0.57, 0.00),
        "translation_separate": (0.50, 0.01),
        "translation_concat": (0.57, 0.01),
        "translation_sum": (0.56, 0.00),
        "translation_noskip": (0.42, 0.01),
    },
    "mnist128": {
        "segmentation_only": (0.15, 0.01),
        "autoencoder": (0.57, 0.02),
        "translation": (0.65, 0.01),
        "translation_separate": (0.70, 0.00),
    },
    "brats": {
        "segmentation_only": (0.69, 0.04),
        "autoencoder": (0.73, 0.02),
        "translation": (0.79, 0.02),
        "translation_separate": (0.77, 0.03),
    },
}
