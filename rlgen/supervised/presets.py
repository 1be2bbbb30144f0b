"""Tuned presets of the classifiers, by algorithm, dataset and network. Imports no torch."""

from typing import Any


def _plan(budget: int, log_every: int, eval_every: int) -> dict[str, int]:
    plan = {"budget": budget, "log_every": log_every, "eval_every": eval_every, "save_every": eval_every}
    return {"lr_steps": budget, **plan}


ADAM = {"optimizer": "adam", "schedule": "one-cycle"}
RESIDUAL = {"optimizer": "nesterov", "schedule": "one-cycle", "weight_decay": 5e-4}
DEEP = {**ADAM, "lr": 5e-4}  # without normalisation
TUNED: dict[str, dict[str, dict[str, Any]]] = {  # algorithm -> dataset[:preset][ --network ...] -> settings
    "classify": {
        "*": {**ADAM, "lr": 4e-3, **_plan(200_000, 5_000, 20_000)},
        "mnist": {"augment": "shift", **_plan(360_000, 5_000, 60_000)},
        "mnist:long": {"augment": "shift,rotate", "width": 2.0, **_plan(2_400_000, 20_000, 240_000)},
        "fashion-mnist": {"augment": "shift,flip", **_plan(600_000, 5_000, 60_000)},
        "cifar10": {"augment": "crop,flip", **_plan(1_000_000, 10_000, 100_000)},
        "objects": {"augment": "crop,flip", **_plan(300_000, 5_000, 50_000)},
        "digits": _plan(60_000, 2_000, 6_000),
        "* --network linear": {"lr": 1e-3, "augment": ""},
        "mnist --network linear": _plan(1_000_000, 10_000, 100_000),
        "* --network mlp": {"lr": 1e-3, "augment": ""},
        "* --network lenet5": {"lr": 2e-3, "precision": "float32"},  # few channels: bfloat16 is slower
        "mnist --network lenet5": _plan(720_000, 10_000, 120_000),
        "* --network alexnet": DEEP,
        "* --network vgg*": DEEP,
        "* --network googlenet": {**ADAM, "lr": 1e-3},
        "* --network resnet*": RESIDUAL,
        "* --network plain*": RESIDUAL,
        "* --network densenet*": {**RESIDUAL, "weight_decay": 1e-4},
        "* --optimizer gd": {"lr": 0.1, "augment": ""},
        "* --optimizer lbfgs": {"augment": ""},
        "* --optimizer newton": {"augment": ""},
        "* --optimizer sgd": {"lr": 0.1},
        "* --optimizer momentum": {"lr": 0.05},
        "* --optimizer nesterov": {"lr": 0.05},
        "* --optimizer adagrad": {"lr": 0.02},
        "* --optimizer rmsprop": {"lr": 1e-3},
    },
    "stack": {"*": {"budget": 1_000_000, "log_every": 5_000, "eval_every": 250_000, "save_every": 250_000}},
    "knn": {
        "mnist": {"budget": 20_000, "log_every": 1_000, "eval_every": 4_000, "save_every": 4_000},
        "digits": {"budget": 2_800, "log_every": 200, "eval_every": 1_400, "save_every": 1_400},
    },
}
