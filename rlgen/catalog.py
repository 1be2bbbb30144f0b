"""The one table of what can be trained: name -> where it lives, its preset, one line. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Any, Literal

from rlgen.core.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Kind:
    """What agents have in common, and what models have."""

    name: Literal["agent", "model"]
    unit: str  # what the time of a run counts
    shown: Mapping[str, str]  # metrics in the progress line, and how they are called there
    time: str  # how a plot names its axes ...
    value: str
    metrics: str  # ... which metrics it draws, as a pattern; those that begin with eval_ are evaluations ...
    words: Mapping[str, str]  # ... and how it calls them
    verbs: tuple[str, ...]  # commands to look at a run with


AGENT = Kind(
    name="agent",
    unit="steps",
    shown={"return_100": "return", "epsilon": "epsilon", "loss": "loss", "eval_return": "eval"},
    time="environment steps",
    value="return per episode",
    metrics="return|eval_return",
    words={"return": "training", "eval_return": "greedy evaluation"},
    verbs=("plot", "play", "eval"),
)
MODEL = Kind(
    name="model",
    unit="images",
    shown={
        "discriminator_loss": "D loss",
        "generator_loss": "G loss",
        "loss": "loss",
        "eval_nats": "test nats",
        "eval_mse": "test mse",
    },
    time="images seen",
    value="loss",
    metrics=".*loss|eval_nats",
    words={"eval_nats": "test nats"},
    verbs=("sample", "plot", "eval"),
)
KINDS = {kind.name: kind for kind in (AGENT, MODEL)}


@dataclass(frozen=True)
class Entry:
    """A name on the command line: an algorithm, its settings and the defaults it changes."""

    name: str
    kind: Kind
    lives: str  # module:class
    settings: str  # module:dataclass, the same as the class's Config; its module also has the table TUNED
    summary: str
    task: str  # a task for its examples
    preset: Mapping[str, Any] = field(default_factory=dict)
    like: str = ""  # the entry whose tuned settings it starts from

    @property
    def algorithm(self) -> Any:
        """The class. Imports torch."""
        return _get(self.lives)

    @property
    def config(self) -> Any:
        """Its settings dataclass."""
        return _get(self.settings)

    @property
    def tuned(self) -> Mapping[str, Mapping[str, Any]]:
        """Settings that were found to work, by task or by a pattern like ALE/*."""
        tables: Mapping[str, Mapping[str, Any]] = _get(self.settings.split(":")[0] + ":TUNED")
        return tables.get(self.name, {})

    @property
    def tuned_for(self) -> list[str]:
        """Tasks, or patterns of them, for which there are such settings, those of the entry it is like included."""
        return list(dict.fromkeys([*(find(self.like).tuned if self.like else ()), *self.tuned]))

    def presets(self, *task: str) -> list[Mapping[str, Any]]:
        """Layers of settings for a task, by all of its names; later ones win: of the entry it is like, own, tuned."""
        tuned = (values for pattern, values in self.tuned.items() if any(fnmatchcase(name, pattern) for name in task))
        own = [self.preset, *tuned]
        return [*find(self.like).presets(*task), *own] if self.like else own

    @property
    def expected(self) -> Mapping[str, str]:
        """Score and time of the tuned presets as they were measured, by task."""
        tables: Mapping[str, Mapping[str, str]] = _get(self.settings.split(":")[0] + ":EXPECTED")
        return tables.get(self.name, {})


CATALOG = {
    entry.name: entry
    for entry in (
        Entry("dqn", AGENT, "rlgen.agents.dqn:DQN", "rlgen.agents.settings:DQN", "Deep Q-learning (Mnih 2015)", "CartPole"),
        Entry("c51", AGENT, "rlgen.agents.dqn:DQN", "rlgen.agents.settings:DQN",
              "Distributional DQN over 51 returns (Bellemare 2017)", "CartPole", {"atoms": 51}, like="dqn"),
        Entry("qrdqn", AGENT, "rlgen.agents.dqn:DQN", "rlgen.agents.settings:DQN",
              "Distributional DQN by quantile regression (Dabney 2018)", "CartPole", {"quantiles": 25}, like="dqn"),
        Entry("rainbow", AGENT, "rlgen.agents.dqn:DQN", "rlgen.agents.settings:DQN",
              "DQN with its six improvements (Hessel 2018)", "CartPole",
              {"double": True, "dueling": True, "alpha": 0.5, "n_step": 3, "atoms": 51, "noisy": True}, like="dqn"),
        Entry("drqn", AGENT, "rlgen.agents.drqn:DRQN", "rlgen.agents.settings:DRQN",
              "Recurrent DQN, for what one observation hides (Hausknecht 2015)", "CartPoleHidden",
              {"depth": 1, "double": True}),
        Entry("qlearning", AGENT, "rlgen.agents.tabular:QLearning", "rlgen.agents.settings:QLearning",
              "Tabular Q-learning, for worlds with few states (Watkins 1989)", "FrozenLake"),
        Entry("ae", MODEL, "rlgen.generative.autoencoders.ae:Autoencoder", "rlgen.generative.settings:Autoencoder",
              "Autoencoder: plain, denoising or k-sparse (Hinton 2006)", "mnist"),
        Entry("vae", MODEL, "rlgen.generative.autoencoders.vae:VAE", "rlgen.generative.settings:VAE",
              "Variational autoencoder (Kingma & Welling 2014)", "mnist"),
        Entry("vqvae", MODEL, "rlgen.generative.autoencoders.vqvae:VQVAE", "rlgen.generative.settings:VQVAE",
              "Autoencoder of words from a codebook, with a PixelCNN over them (van den Oord 2017)", "mnist"),
        Entry("gan", MODEL, "rlgen.generative.gan.gan:GAN", "rlgen.generative.settings:GAN",
              "Generative adversarial network (Goodfellow 2014)", "mnist"),
        Entry("lsgan", MODEL, "rlgen.generative.gan.gan:GAN", "rlgen.generative.settings:GAN",
              "GAN by least squares (Mao 2017)", "mnist", {"loss": "lsgan"}, like="gan"),
        Entry("hinge", MODEL, "rlgen.generative.gan.gan:GAN", "rlgen.generative.settings:GAN",
              "GAN by the hinge loss (Lim & Ye 2017, Miyato 2018)", "mnist", {"loss": "hinge"}, like="gan"),
        Entry("wgan-gp", MODEL, "rlgen.generative.gan.gan:GAN", "rlgen.generative.settings:GAN",
              "Wasserstein GAN with gradient penalty (Gulrajani 2017)", "mnist",
              {"loss": "wgan", "spectral": False, "gradient_penalty": 10.0, "critics": 5, "beta1": 0.0}, like="gan"),
        Entry("pixelcnn", MODEL, "rlgen.generative.autoregressive.pixelcnn:PixelCNN", "rlgen.generative.settings:PixelCNN",
              "Pixels one by one, by masked convolutions (van den Oord 2016)", "mnist"),
        Entry("gated-pixelcnn", MODEL, "rlgen.generative.autoregressive.pixelcnn:PixelCNN", "rlgen.generative.settings:PixelCNN",
              "The same by two stacks of gated ones, without blind spot (van den Oord 2016)", "mnist",
              {"gated": True}, like="pixelcnn"),
        Entry("pixelrnn", MODEL, "rlgen.generative.autoregressive.pixelrnn:PixelRNN", "rlgen.generative.settings:PixelRNN",
              "Pixels one by one, by LSTMs that scan rows or diagonals (van den Oord 2016)", "mnist"),
    )
}  # fmt: skip


def find(name: str) -> Entry:
    """The entry called `name`, in any case. Raises UserError where there is none."""
    try:
        return CATALOG[name.lower()]
    except KeyError:
        raise UserError(
            f"no algorithm {name!r}{did_you_mean(name, CATALOG) or ': there are ' + ', '.join(CATALOG)}"
        ) from None


def _get(path: str) -> Any:
    module, name = path.split(":")
    return getattr(import_module(module), name)
