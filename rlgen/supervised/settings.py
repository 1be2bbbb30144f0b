"""Settings of the classifiers. Imports no torch.

A field is an option, the comment beside it its help, the comment line above a group its panel.
"""

from collections.abc import Container
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat
from pydantic.dataclasses import dataclass

from rlgen.core.errors import UserError
from rlgen.core.optim.settings import SECOND_ORDER, OptimizerSettings
from rlgen.core.settings import Amount, Count, Parallel, Width
from rlgen.data import augmentation
from rlgen.networks.settings import NetworkSettings


def _augmentations(names: str) -> str:
    try:
        augmentation.parse(names)
    except UserError as error:
        raise ValueError(str(error)) from None
    return names


def _layers(text: str) -> str:
    if text not in ("all", "none") and not text.isdecimal():
        raise ValueError("give all, none, or the number of the first layers that stay as they are")
    return text


Decay = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Folds = Annotated[int, Field(ge=2, le=1_000)]
OptionalFolds = Annotated[int, Field(ge=0, le=1_000)]


@dataclass(frozen=True)
class Data:
    """Settings of the images of a classifier."""

    # Data
    data: str | None = None  # folder of the dataset's files, such as MNIST/raw; none: $RLGEN_DATA, ./data, cache
    size: Annotated[int, Field(ge=8, le=512)] | None = None  # side of the scaled images in pixels; none: their own size
    skip_bad: bool = False  # skip unreadable image files of a folder
    train_images: Amount = 0  # training images, drawn by the seed, each class its share; 0: all
    only_classes: str = ""  # classes whose images are kept, by name or number, such as 0,1,2; empty: all
    validation: Share = 0.1  # share of the training images kept for validation, stratified by class; 0: none

    @property
    def held_out(self) -> float:
        """The share of the training images kept for validation."""
        return self.validation


@dataclass(frozen=True)
class KNN(Data):
    """Settings of k-nearest neighbours."""

    # Neighbours
    k: Width | None = None  # neighbours that vote; none: the number with the best validation accuracy
    max_k: Width = 20  # largest number of neighbours that is tried
    metric: Literal["l1", "l2"] | None = None  # distance of images, Σ|d| or √Σd²; none: the better by validation
    weights: Literal["uniform", "distance"] = "uniform"  # weight of a neighbour's vote: 1, or 1 / distance
    folds: Folds = 5  # folds of cross-validation: neighbours of an image are in the other folds
    # Data
    validation: Share = 0.0  # share of the training images that choose k in place of folds and are not remembered

    def unused(self) -> dict[str, str]:
        """Options without an effect beside the others, and the reason."""
        table = (
            ("max_k", self.k is not None, "--k is given"),
            ("folds", self.validation > 0, "--validation images choose k"),
        )
        return {name: why for name, ineffective, why in table if ineffective}


@dataclass(frozen=True)
class Stack(Data):
    """Settings of a combination of classifiers."""

    unshown: ClassVar = ("members",)  # left out of what differs from the defaults: too long
    # Members
    members: str = "[]"  # runs that are combined with their settings, as JSON
    weight_decay: NonNegativeFloat | None = None  # penalty of the distance from the mean; none: by cross-validation
    # Data
    validation: Share = 0.0  # 0: the members have their own


@dataclass(frozen=True)
class Classifier(Data, OptimizerSettings, NetworkSettings):
    """Settings of a network that classifies images."""

    # Learning
    batch: Count = 128  # images per gradient step
    loss: Literal["softmax", "svm", "ova"] = "softmax"  # cross entropy, multiclass hinge, or one against the rest
    label_smoothing: Share = 0.0  # share of each training label spread over all classes, of the cross entropy
    ema: Decay = 0.99  # EMA decay per gradient step, of the weights that are evaluated; 0: the weights themselves
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # precision of training; auto: the faster one
    # Data
    augment: Annotated[str, AfterValidator(_augmentations)] = ""  # augmentations of training images, such as shift,flip
    # Transfer
    init_from: str | None = None  # run whose layers before the head the network starts from: a path or name, or latest
    freeze: Annotated[str, AfterValidator(_layers)] = "none"  # layers before the head that stay: all, none, or first N
    # Experience
    seeds: Parallel = 1  # independent networks trained in parallel
    # Members
    ensemble: Literal["average", "bagging", "boosting", "snapshot"] | None = None  # networks that predict as one
    members: Parallel = 8  # networks of the ensemble
    folds: OptionalFolds = 0  # networks of cross-validation, each trained without one fold; 0: none

    def unused(self) -> dict[str, str]:
        """Options without an effect beside the others, and the reason."""
        found = {**OptimizerSettings.unused(self), **NetworkSettings.unused(self)}
        if self.successive:
            found.pop("lr_steps", None)
        table = (
            ("label_smoothing", self.loss != "softmax", "it belongs to the cross entropy, --loss softmax"),
            ("members", self.ensemble is None, "it belongs to --ensemble"),
            ("schedule", self.ensemble == "snapshot", "--ensemble snapshot has a cosine per member"),
            ("lr_end", self.ensemble == "snapshot", "the rate of --ensemble snapshot falls to 0"),
            ("validation", bool(self.folds), "the images of a fold are those of validation"),
        )
        return {**found, **{name: why for name, ineffective, why in table if ineffective}}

    def check(self, given: Container[str]) -> None:
        """Raise UserError where settings contradict each other."""
        super().check(given)
        chosen = [
            text
            for text, present in (
                (f"--ensemble {self.ensemble}", self.ensemble is not None),
                (f"--seeds {self.seeds}", self.seeds > 1),
                (f"--folds {self.folds}", self.folds > 0),
            )
            if present
        ]
        if len(chosen) > 1:
            raise UserError(f"{' and '.join(chosen)}: each trains several networks, for another purpose: take one")
        if self.ensemble == "boosting" and (self.init_from is not None or self.freeze != "none"):
            raise UserError(
                "--ensemble boosting starts each member anew: leave out --init-from and --freeze,"
                " or take --ensemble average, bagging or snapshot"
            )
        if self.optimizer in SECOND_ORDER and (self.augment or self.dropout):
            raise UserError(
                f"--optimizer {self.optimizer} computes one loss several times per step, so it takes no random draws:"
                " leave --augment and --dropout out"
            )
        if self.folds == 1:
            raise UserError("--folds 1: cross-validation needs at least 2 folds")

    @property
    def held_out(self) -> float:
        """The share of the training images kept for validation: none beside folds."""
        return 0.0 if self.folds else self.validation

    @property
    def successive(self) -> bool:
        """Whether the members are trained one after the other."""
        return self.ensemble in ("boosting", "snapshot")

    @property
    def side_by_side(self) -> int:
        """Number of networks that are trained side by side."""
        if self.ensemble is None:
            return self.folds or self.seeds
        return 1 if self.successive else self.members
