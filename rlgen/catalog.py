"""The table of all algorithms: name, class, settings, one line. Imports no torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import Any

from rlgen.core.errors import UserError, did_you_mean
from rlgen.kinds import AGENT, CLASSIFIER, KINDS, MODEL, Kind

# the tables of `rlgen list`
TOPICS = tuple(
    dict.fromkeys([*(k.plural for k in KINDS.values()), *(k.topic for k in KINDS.values()), "networks", "presets"])
)


@dataclass(frozen=True)
class Form:
    """What replaces the class of an algorithm for tasks of another form, such as points in place of images."""

    lives: str  # module:class in the package of its kind
    interactive: tuple[str, ...] = ()  # panels of the page that interact with its runs


@dataclass(frozen=True)
class Entry:
    """An algorithm by its name on the command line, with its settings and the defaults it changes."""

    name: str
    kind: Kind
    lives: str  # module:class in the package of its kind
    settings: str  # name of its settings dataclass, the same as the class's Config
    summary: str
    task: str  # a task for its examples
    preset: Mapping[str, Any] = field(default_factory=dict)
    like: str = ""  # the entry whose presets it starts from
    interactive: tuple[str, ...] = ()  # panels of the page that interact with its runs, besides those of its kind
    selects: tuple[str, ...] = ()  # settings whose values select further presets, `TASK --network lenet5`
    forms: Mapping[str, Form] = field(default_factory=dict)  # tasks of another form, by their full names

    @property
    def algorithm(self) -> Any:
        """The class. Imports torch."""
        return self._class(self.lives)

    def algorithm_for(self, task: str) -> Any:
        """The class for a task by its full name. Imports torch."""
        return self._class(self.forms[task].lives if task in self.forms else self.lives)

    def panels(self, task: str) -> tuple[str, ...]:
        """Names of the panels of the page that interact with a run on this task."""
        if task in self.forms:
            return self.forms[task].interactive
        return tuple(dict.fromkeys((*self.kind.interactive, *self.interactive)))

    def _class(self, lives: str) -> Any:
        module, name = lives.split(":")
        return getattr(import_module(f"{self.kind.package}.{module}"), name)

    @property
    def config(self) -> Any:
        """Its settings dataclass."""
        return self._setting(self.settings)

    @property
    def tuned(self) -> Mapping[str, Mapping[str, Any]]:
        """Presets: settings by task or by a pattern such as ALE/*."""
        tables: Mapping[str, Mapping[str, Any]] = import_module(f"{self.kind.package}.{self.kind.presets}").TUNED
        return tables.get(self.name, {})

    @property
    def tuned_for(self) -> list[str]:
        """Tasks or patterns with a preset, those of the entry it is like included."""
        return list(dict.fromkeys([*(find(self.like).tuned if self.like else ()), *self.tuned]))

    def presets(self, *task: str) -> list[Mapping[str, Any]]:
        """Layers of settings for a task by all of its names: of the entry it is like, own, tuned; later ones win."""
        tuned = (values for pattern, values in self.tuned.items() if any(fnmatchcase(name, pattern) for name in task))
        own = [self.preset, *tuned]
        return [*find(self.like).presets(*task), *own] if self.like else own

    @property
    def expected(self) -> Mapping[str, str]:
        """Measured score and time of the presets, by task."""
        tables: Mapping[str, Mapping[str, str]] = _scores(self.kind.package)
        return tables.get(self.name, {})

    def _setting(self, name: str) -> Any:
        return getattr(import_module(f"{self.kind.package}.settings"), name)


@cache
def _scores(package: str) -> dict[str, dict[str, str]]:
    """Measured score and time of presets, by algorithm and task; tests/benchmarks write the file."""
    scores: dict[str, dict[str, str]] = json.loads((files(package) / "scores.json").read_text("utf-8"))
    return scores


POINTS = dict.fromkeys(("ring", "grid", "spiral"), Form("gan.points:PointGAN", ("points",)))  # in two dimensions
REPLAY = ("replay",)  # the panel of a replay buffer
CATALOG = {
    entry.name: entry
    for entry in (
        Entry("dqn", AGENT, "dqn:DQN", "DQN",
              "Deep Q-learning (Mnih 2015)", "CartPole", interactive=REPLAY),
        Entry("c51", AGENT, "dqn:DQN", "DQN",
              "Distributional DQN over 51 returns (Bellemare 2017)", "CartPole",
              {"atoms": 51}, like="dqn", interactive=REPLAY),
        Entry("qrdqn", AGENT, "dqn:DQN", "DQN",
              "Distributional DQN with quantile regression (Dabney 2018)", "CartPole",
              {"quantiles": 25}, like="dqn", interactive=REPLAY),
        Entry("rainbow", AGENT, "dqn:DQN", "DQN",
              "DQN with its six improvements (Hessel 2018)", "CartPole",
              {"double": True, "dueling": True, "alpha": 0.5, "n_step": 3, "atoms": 51, "noisy": True}, like="dqn",
              interactive=REPLAY),
        Entry("drqn", AGENT, "drqn:DRQN", "DRQN",
              "Recurrent DQN, for partial observations (Hausknecht 2015)", "CartPoleHidden",
              {"depth": 1, "double": True}, interactive=REPLAY),
        Entry("qlearning", AGENT, "tabular:QLearning", "QLearning",
              "Tabular Q-learning, for few states (Watkins 1989)", "FrozenLake"),
        Entry("ae", MODEL, "autoencoders.ae:Autoencoder", "Autoencoder",
              "Autoencoder: plain, denoising or k-sparse (Hinton 2006)", "mnist", interactive=("latent",)),
        Entry("vae", MODEL, "autoencoders.vae:VAE", "VAE",
              "Variational autoencoder (Kingma & Welling 2014)", "mnist", interactive=("latent",)),
        Entry("vqvae", MODEL, "autoencoders.vqvae:VQVAE", "VQVAE",
              "Codebook autoencoder, PixelCNN prior (van den Oord 2017)", "mnist", interactive=("codes",)),
        Entry("gan", MODEL, "gan.gan:GAN", "GAN",
              "Generative adversarial network (Goodfellow 2014)", "mnist",
              interactive=("opinion",), forms=POINTS),
        Entry("lsgan", MODEL, "gan.gan:GAN", "GAN",
              "GAN with the least-squares loss (Mao 2017)", "mnist", {"loss": "lsgan"}, like="gan",
              interactive=("opinion",), forms=POINTS),
        Entry("hinge", MODEL, "gan.gan:GAN", "GAN",
              "GAN with the hinge loss (Lim & Ye 2017, Miyato 2018)", "mnist", {"loss": "hinge"}, like="gan",
              interactive=("opinion",), forms=POINTS),
        Entry("wgan-gp", MODEL, "gan.gan:GAN", "GAN",
              "Wasserstein GAN with gradient penalty (Gulrajani 2017)", "mnist",
              {"loss": "wgan", "spectral_norm": False, "gradient_penalty_weight": 10.0, "critic_steps": 5,
               "beta1": 0.0}, like="gan", interactive=("opinion",), forms=POINTS),
        Entry("pixelcnn", MODEL, "autoregressive.pixelcnn:PixelCNN", "PixelCNN",
              "Autoregressive masked convolutions (van den Oord 2016)", "mnist", interactive=("pixels",)),
        Entry("gated-pixelcnn", MODEL, "autoregressive.pixelcnn:PixelCNN", "PixelCNN",
              "PixelCNN of two gated stacks (van den Oord 2016)", "mnist",
              {"gated": True}, like="pixelcnn", interactive=("pixels",)),
        Entry("pixelrnn", MODEL, "autoregressive.pixelrnn:PixelRNN", "PixelRNN",
              "Autoregressive Row or Diagonal LSTMs (van den Oord 2016)", "mnist", interactive=("pixels",)),
        Entry("classify", CLASSIFIER, "classifier:Classifier", "Classifier",
              "Network that classifies images (LeCun 1998)", "mnist", selects=("network", "optimizer")),
        Entry("knn", CLASSIFIER, "knn:KNN", "KNN",
              "k-nearest neighbours by L1 and L2 distance (Cover 1967)", "mnist"),
    )
}  # fmt: skip


# algorithms that train on runs, each by a command of its own
OF_RUNS = {
    entry.name: entry
    for entry in (
        Entry("stack", CLASSIFIER, "stack:Stack", "Stack",
              "Linear combination of classifiers (Wolpert 1992)", "mnist"),
    )
}  # fmt: skip


def find(name: str) -> Entry:
    """The entry called `name`, in any case. Raises UserError where there is none."""
    try:
        return (CATALOG | OF_RUNS)[name.lower()]
    except KeyError:
        raise UserError(
            f"no algorithm {name!r}{did_you_mean(name, CATALOG) or ': there are ' + ', '.join(CATALOG)}"
        ) from None


def first(kind: Kind, task: str = "") -> Entry:
    """The first algorithm of a kind, for an example; for a task that has a class of its own, the first with one."""
    entries = [entry for entry in CATALOG.values() if entry.kind is kind]
    return next((entry for entry in entries if task in entry.forms), entries[0])
