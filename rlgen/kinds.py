"""The kinds of algorithms: names, units, plots and commands of agents, models, classifiers. Imports no torch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, Protocol


class Tasks(Protocol):
    """The functions by which the modules of environments and of datasets resolve names from the command line."""

    def resolve(self, task: str) -> str:
        """The full name. Raises UserError for an unknown one."""
        ...

    def short(self, name: str) -> str:
        """The short form of a full name: in presets and messages."""
        ...

    def canonical(self, task: str, *, data: str | None, fallback: bool) -> tuple[str, str | None]:
        """The name of the task, its files downloaded; and a notice where another task replaces a missing one."""
        ...

    def module_of(self, task: str) -> str | None:
        """The module that is imported for a task, None without one."""
        ...

    def listing(self) -> Iterable[tuple[str, str, str]]:
        """The rows of `rlgen list`."""
        ...


@dataclass(frozen=True)
class Panel:
    """An axis of a plot with the metrics that share its scale."""

    value: str  # label of the axis, with its unit
    metrics: Mapping[str, str]  # metrics, and their names in the legend; those that begin with eval_ are evaluations
    scale: tuple[str, ...] = ()  # settings on which the scale depends: each combination has a panel of its own
    references: Mapping[str, str] = field(default_factory=dict)  # metrics or results drawn as a line, and their names
    episodes: str = ""  # metric that is drawn from single episodes where these are logged
    axis: str = "linear"  # scale of the axis: linear, log, or accuracy, which spreads what is near 1
    gap: tuple[str, ...] = ()  # two evaluations, the area between which is shaded
    compared: tuple[str, ...] = ()  # metrics drawn where several experiments are compared; all by default
    fall: float = 0.0  # share of the training whose values may lie outside the picture: the fall of a loss at its start
    last_resort: bool = False  # only for runs without a metric of another panel
    better: Literal["higher", "lower", ""] = ""  # direction in which its metrics improve; none for opposed ones


@dataclass(frozen=True)
class Kind:
    """Properties shared by the algorithms of a kind: agents, generative models, classifiers."""

    name: str
    article: str  # the name with its article
    plural: str
    package: str  # of its algorithms, with their dataclasses in `settings` and measured scores in scores.json
    presets: str  # module of the package with the presets
    room: str  # module of its tasks, which implements `Tasks`
    task: str  # "an environment" or "a dataset", in messages
    topic: str  # name of the table of tasks in `rlgen list`
    listed: tuple[str, str, str]  # column heads of that table
    others: str  # further tasks, which the table does not list
    unit: str  # of the time of a run
    shown: Mapping[str, str]  # metrics of the progress line -> their labels; one that ends in % is of a share
    time: str  # label of the horizontal axis of a plot
    panels: tuple[Panel, ...]  # of a plot
    verbs: tuple[str, ...]  # commands suggested after training
    also: tuple[str, ...]  # further commands for such a run
    counted: str  # unit of a report: episodes or samples
    counts: str  # help text of the option of `rlgen eval` for their number
    final: int  # number of episodes or samples in the report after training
    fresh: int  # default number in `rlgen eval`
    fallback: str = ""  # task in place of one that cannot be downloaded
    pictures: str = ""  # module that draws the numbers of a report by `draw`
    score: str = ",.1f"  # format of the score that ranks runs
    ranking: tuple[str, ...] = ("score",)  # metrics by which a study ranks trials: the first one that a run has
    findings: str = "findings"  # module of the package with the checks of `rlgen doctor`
    interactive: tuple[str, ...] = ()  # panels of the page that interact with a run of this kind
    units: Mapping[str, str] = field(default_factory=dict)  # further metrics, and the label of their axis with its unit

    @property
    def tasks(self) -> Tasks:
        """The room of its tasks."""
        tasks: Any = import_module(self.room)
        return tasks  # type: ignore[no-any-return]


AGENT = Kind(
    name="agent", article="an agent", plural="agents", package="rlgen.agents", presets="presets",
    room="rlgen.envs", task="an environment", topic="envs", unit="steps",
    listed=("name", "id", "from"), others="every gymnasium id with discrete actions",
    shown={"return_100": "return (100)", "epsilon": "epsilon", "loss": "loss", "eval_return": "eval"},
    time="environment steps",
    panels=(
        Panel(
            "return per episode",
            {"return": "training", "eval_return": "greedy evaluation"},
            references={"optimum": "optimum"},
            episodes="return",
            compared=("eval_return",),
            better="higher",
        ),
    ),
    units={
        "return_100": "return per episode, mean of 100",
        "q": "largest Q-value, mean over a minibatch",
        "loss": "TD loss",
        "epsilon": "epsilon (probability of a random action)",
        "gradient_norm": "norm of the gradient",
    },
    verbs=("plot", "play", "eval"), also=("explain",),
    counted="episodes", counts="Fresh greedy episodes of an agent", final=100, fresh=100,
    interactive=("thinking", "takeover", "whatif", "value_map", "explain"),
)  # fmt: skip
MODEL = Kind(
    name="model", article="a model", plural="models", package="rlgen.generative", presets="presets",
    room="rlgen.data", task="a dataset", topic="data", unit="images", fallback="digits",
    listed=("name", "what", "where"), others="",
    shown={
        "discriminator_loss": "D loss",
        "generator_loss": "G loss",
        "loss": "loss",
        "eval_nats": "test nats",
        "eval_mse": "test mse",
    },
    time="images seen",
    panels=(
        Panel(
            "nats per image",
            {"nats": "training", "eval_nats": "test"},
            ("likelihood", "binarise", "conditional"),
            references={"uniform_nats": "uniform distribution"},
            fall=0.1,
            better="lower",
        ),
        Panel(
            "squared error per pixel",
            {"mse": "training", "eval_mse": "test", "eval_denoised_mse": "test, from corrupted images"},
            references={"eval_pca_mse": "PCA of as many components, test"},
            fall=0.1,
            better="lower",
        ),
        Panel(
            "loss of the discriminator",
            {"discriminator_loss": "discriminator"},
            ("loss",),
            references={"discriminator_loss_at_chance": "discriminator at chance"},
            fall=0.1,
        ),
        Panel(
            "loss of the generator",
            {"generator_loss": "generator"},
            ("loss",),
            references={"generator_loss_at_chance": "generator, discriminator at chance"},
            fall=0.1,
        ),
        Panel(
            "logit of the discriminator",
            {"eval_real_logit": "real test images", "eval_fake_logit": "samples"},
            ("loss",),
            references={"logit_at_chance": "decision threshold"},
            gap=("eval_real_logit", "eval_fake_logit"),
            fall=0.1,
        ),
        Panel(
            "images classified right by the discriminator",
            {"eval_accuracy": "test images and samples"},
            references={"accuracy_at_chance": "chance"},
            axis="accuracy",
        ),
        Panel(
            "Fréchet distance of features (feature classifier)",
            {"eval_lenet_fid": "samples", "eval_random_fid": "samples, untrained classifier"},
            references={
                "lenet_fid_floor": "floor: as many real test images",
                "random_fid_floor": "floor, untrained classifier",
            },
            axis="log",
            better="lower",
        ),
        Panel(
            "share of generated points",
            {"eval_high_quality": "within 3 standard deviations of a mode"},
            better="higher",
        ),
        Panel("modes", {"eval_modes": "modes with a generated point"}, better="higher"),
        Panel("loss", {"loss": "training loss"}, fall=0.1, last_resort=True, better="lower"),
    ),
    units={
        "kl": "KL divergence (nats per image)",
        "eval_kl": "KL divergence (nats per image)",
        "eval_reconstruction": "reconstruction (nats per image)",
        "eval_bits": "bits per dimension",
        "eval_psnr": "peak signal-to-noise ratio (dB)",
        "eval_active_units": "active units of the code",
        "eval_perplexity": "perplexity of the codes",
        "eval_kid": "kernel distance of features",
        "eval_precision": "precision of samples",
        "eval_recall": "recall of real images",
        "eval_density": "density of real images around samples",
        "eval_coverage": "coverage of real images",
        "gradient_norm": "norm of the gradient",
    },
    verbs=("sample", "plot", "eval"), also=("probe", "explain"),
    ranking=("eval_nats", "eval_lenet_fid", "eval_high_quality", "eval_mse"),
    counted="samples", counts="Samples of a model, at most as many as there are test images", final=0, fresh=10_000,
    interactive=("nearest", "explain"),
)  # fmt: skip
CLASSIFIER = Kind(
    name="classifier", article="a classifier", plural="classifiers", package="rlgen.supervised", presets="presets",
    room="rlgen.data", task="a dataset", topic="data", unit="images", fallback="digits",
    listed=("name", "what", "where"), others="",
    shown={
        "accuracy": "accuracy %",
        "loss": "loss",
        "eval_validation_accuracy": "validation %",
        "eval_test_accuracy": "test %",
        "eval_train_accuracy": "training images %",
        "eval_initial_loss": "initial loss",
        "eval_uniform_loss": "that of equal scores",
    },
    time="training images seen",
    panels=(
        Panel(
            "accuracy",
            {
                "accuracy": "training minibatches",
                "eval_train_accuracy": "training images",
                "eval_validation_accuracy": "validation",
                "eval_test_accuracy": "test",
            },
            axis="accuracy",
            better="higher",
            gap=("eval_train_accuracy", "eval_validation_accuracy"),
            compared=("eval_validation_accuracy", "eval_test_accuracy"),
        ),
        Panel(
            "loss",
            {
                "loss": "training minibatches",
                "eval_train_loss": "training images",
                "eval_validation_loss": "validation",
                "eval_test_loss": "test",
            },
            ("loss",),
            references={"eval_uniform_loss": "loss of equal scores for all classes"},
            axis="log",
            better="lower",
            gap=("eval_train_loss", "eval_validation_loss"),
            compared=("loss", "eval_validation_loss", "eval_test_loss"),
        ),
    ),
    verbs=("eval", "plot"), also=("predict", "explain"), interactive=("explain",),
    ranking=("eval_validation_accuracy",),
    counted="images", counts="Test images of a classifier, drawn at random; 0: all", final=0, fresh=0,
    pictures="rlgen.report.classification", score=".2%",
    units={"lr": "learning rate", "grad_norm": "norm of the gradient"},
)  # fmt: skip
KINDS = {kind.name: kind for kind in (AGENT, MODEL, CLASSIFIER)}
