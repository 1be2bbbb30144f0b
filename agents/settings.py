"""Settings of the agents. Imports no torch, so that `--help` is quick.

A field is an option, the comment beside it its help text, the comment line above a group of fields its panel.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat
from pydantic.dataclasses import dataclass

from rlgen.core.optim.settings import OptimizerSettings
from rlgen.core.settings import Amount, Count, Duration, Fraction, Layers, Parallel, Processes, Rate, Width
from rlgen.networks.settings import NetworkName


@dataclass(frozen=True)
class DQN(OptimizerSettings):
    """Deep Q-learning."""

    by_member: ClassVar[tuple[str, ...]] = (  # numbers in which the agents of one process may differ
        "lr", "lr_end", "lr_steps", "warmup", "peak", "max_grad_norm", "gamma", "beta", "beta_steps",
        "target_update_interval", "tau", "epsilon", "epsilon_end", "epsilon_steps",
    )  # fmt: skip

    # Learning
    lr: Rate = 1e-3  # learning rate
    gamma: Fraction = 0.99  # discount per environment step
    batch: Count = 64  # transitions per gradient step
    train_freq: Width = 4  # environment steps between updates, at least num_envs
    gradient_steps: Width = 1  # gradient steps per update
    loss: Literal["huber", "mse"] = "huber"  # loss of the TD error
    max_grad_norm: PositiveFloat = 10.0  # maximum norm of the gradient, by clipping; inf: no clipping
    # Rainbow
    double: bool = False  # next action by the online network, its value by the target network (van Hasselt 2016)
    dueling: bool = False  # separate streams for state value and advantages (Wang 2016)
    alpha: Fraction = 0.0  # exponent of the priorities of prioritised replay; 0: uniform replay (Schaul 2016)
    beta: Fraction = 0.4  # initial exponent of the importance weights of prioritised replay; its end is 1
    beta_steps: Duration = 100_000  # length of the linear schedule of beta, in environment steps
    n_step: Count = 1  # rewards summed before bootstrapping, in environment steps (Sutton 1988)
    atoms: Width = 1  # atoms of C51, returns with a probability each; 1: no C51 (Bellemare 2017)
    v_min: float | None = None  # lowest atom of C51; none: from the discounted returns of the training
    v_max: float | None = None  # highest atom of C51; none: from the discounted returns of the training
    quantiles: Width = 1  # quantiles of the return in QR-DQN; 1: no QR-DQN (Dabney 2018)
    noisy: bool = False  # noise in the weights of the last two layers in place of ε-greedy (Fortunato 2018)
    munchausen: Fraction = 0.0  # weight of the log-policy added to the reward, such as 0.9 (Vieillard 2020)
    temperature: Rate = 0.03  # temperature of the softmax policy of Munchausen
    # Target network
    target_update_interval: Count = 500  # environment steps between updates of the target network
    tau: Annotated[float, Field(gt=0, le=1)] = 1.0  # weight of the online network in an update of the target network
    # Exploration
    epsilon: Fraction = 1.0  # initial probability of a random action
    epsilon_end: Fraction = 0.05  # final probability of a random action
    epsilon_steps: Duration = 10_000  # length of the linear schedule of epsilon, in environment steps
    # Experience
    num_envs: Parallel = 1  # environments in parallel, per seed
    env_workers: Processes = 0  # processes that step the environments, for slow ones; 0: none but that of the run
    buffer_size: Count = 50_000  # capacity of the replay buffer, in transitions per seed
    learning_starts: Amount = 1_000  # environment steps before the first gradient step
    seeds: Parallel = 1  # independent agents trained in parallel
    # Environment
    frame_stack: Layers = 1  # observations stacked as the input, the last ones
    repeat_action_probability: Fraction | None = None  # sticky actions of MinAtar and Atari; none: the game's own
    max_episode_steps: Count | None = None  # time limit of an episode, in steps; none: the environment's own
    step_timeout: PositiveFloat = 600.0  # longest time that a step of the environment may take, in seconds; inf: any
    clip_reward: bool = False  # training rewards clipped to their sign; scores are of unclipped rewards
    life_loss: bool = False  # lost life as a terminal state in training; scores are of whole games
    # Evaluation
    eval_episodes: Count = 20  # greedy episodes of an evaluation, per seed
    final_episodes: Count = 100  # fresh greedy episodes of the final score, per seed
    # Network
    encoder: NetworkName | None = None  # network of images, such as resnet20; none: the convolutions of DQN
    width: Width = 128  # units per hidden layer
    depth: Layers = 2  # hidden layers, after the convolutions for images
    layer_norm: bool = False  # layer normalisation in the hidden layers, against divergence (Gallici 2024)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.full_batch:
            raise ValueError(f"--optimizer {self.optimizer}: a replay buffer is no fixed set: take adam or sgd")
        if self.accumulate > 1:
            raise ValueError(f"--accumulate {self.accumulate}: --batch takes more transitions per gradient step")
        if self.atoms > 1 and self.quantiles > 1:
            raise ValueError(f"--atoms {self.atoms} with --quantiles {self.quantiles}: set one of them to 1")
        if self.atoms > 1 and self.v_min is not None and self.v_max is not None and self.v_min >= self.v_max:
            raise ValueError(f"--v-min {self.v_min:g} is not below --v-max {self.v_max:g}")
        if self.batch > self.buffer_size:
            raise ValueError(f"--batch {self.batch} is more than --buffer-size {self.buffer_size}")
        self.check_window(self.n_step, f"--n-step {self.n_step}")

    def check_window(self, steps: int, window: str) -> None:
        """Raise ValueError where the replay buffer is too small for a window with the frames before it."""
        needed = steps + self.frame_stack - 1
        if self.buffer_size // self.num_envs < needed:
            stack = f", with --frame-stack {self.frame_stack}" if self.frame_stack > 1 else ""
            raise ValueError(
                f"--buffer-size {self.buffer_size} with --num-envs {self.num_envs} is too small for a window of"
                f" {window}{stack}: at least {needed * self.num_envs}"
            )

    def unused(self) -> dict[str, str]:
        """Options without an effect beside the others, and the reason."""
        table = (
            ("epsilon", self.noisy, "--noisy replaces random actions"),
            ("epsilon_end", self.noisy, "--noisy replaces random actions"),
            ("epsilon_steps", self.noisy, "--noisy replaces random actions"),
            ("loss", self.atoms > 1, "the loss of --atoms is the cross entropy"),
            ("loss", self.quantiles > 1, "the loss of --quantiles is the quantile Huber loss"),
            ("beta", not self.alpha, "it belongs to prioritised replay, such as --alpha 0.5"),
            ("beta_steps", not self.alpha, "it belongs to prioritised replay, such as --alpha 0.5"),
            ("v_min", self.atoms == 1, "it belongs to C51, such as --atoms 51"),
            ("v_max", self.atoms == 1, "it belongs to C51, such as --atoms 51"),
            ("temperature", not self.munchausen, "it belongs to --munchausen, such as 0.9"),
        )
        return {**super().unused(), **{name: why for name, ineffective, why in table if ineffective}}


@dataclass(frozen=True)
class DRQN(DQN):
    """Deep recurrent Q-learning: an LSTM of `width` units after `depth` - 1 hidden layers."""

    # Recurrence
    length: Width = 16  # steps of a sequence with a loss
    burn_in: Amount = 8  # steps before a sequence to warm up the recurrent state, no loss (Kapturowski 2019)

    def __post_init__(self) -> None:
        super().__post_init__()
        steps = self.burn_in + self.length + self.n_step
        self.check_window(steps, f"--burn-in {self.burn_in}, --length {self.length} and --n-step {self.n_step}")


@dataclass(frozen=True)
class QLearning:
    """Tabular Q-learning."""

    by_member: ClassVar[tuple[str, ...]] = (  # numbers in which the agents of one process may differ
        "gamma", "lr", "lr_decay", "initial_q", "epsilon", "epsilon_end", "epsilon_steps",
    )  # fmt: skip

    # Learning
    gamma: Fraction = 0.99  # discount per environment step
    lr: Annotated[float, Field(gt=0, le=1)] = 1.0  # step size at the first visit to a state and action
    lr_decay: Fraction = 0.5  # exponent ω of the step size lr / n^ω at the n-th visit; 0: a constant step size
    initial_q: float = 0.0  # initial value of every state and action; optimistic values encourage exploration
    # Exploration
    epsilon: Fraction = 1.0  # initial probability of a random action
    epsilon_end: Fraction = 0.1  # final probability of a random action
    epsilon_steps: Duration = 10_000  # length of the linear schedule of epsilon, in environment steps
    # Experience
    num_envs: Parallel = 1  # environments in parallel, per seed
    env_workers: Processes = 0  # processes that step the environments, for slow ones; 0: none but that of the run
    seeds: Parallel = 1  # independent agents trained in parallel
    # Environment
    max_episode_steps: Count | None = None  # time limit of an episode, in steps; none: the environment's own
    step_timeout: PositiveFloat = 600.0  # longest time that a step of the environment may take, in seconds; inf: any
    # Evaluation
    eval_episodes: Count = 20  # greedy episodes of an evaluation, per seed
    final_episodes: Count = 100  # fresh greedy episodes of the final score, per seed
