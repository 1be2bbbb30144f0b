"""What the agents can be told, and what was found to work for each task. Imports no torch, so `--help` is quick."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from rlgen.core.errors import UserError
from rlgen.core.settings import Duration, Fraction, Rate


@dataclass(frozen=True)
class DQN:
    """Deep Q-learning."""

    # Learning
    lr: Rate = 1e-3  # step size of Adam
    lr_end: Rate | None = None  # falls to this in a straight line; none keeps it
    lr_steps: Duration = 100_000  # environment steps to get there
    adam_eps: Rate = 1e-8  # keeps Adam's steps small where gradients are tiny
    gamma: Fraction = 0.99  # discount per environment step
    batch: PositiveInt = 64  # transitions per gradient step
    train_freq: PositiveInt = 4  # environment steps between bursts of gradient steps, at least one of each lane
    gradient_steps: PositiveInt = 1  # gradient steps per burst
    loss: Literal["huber", "mse"] = "huber"  # how a TD error is punished
    max_grad_norm: PositiveFloat = 10.0  # bound on the norm of the gradient; inf for none
    # Rainbow
    double: bool = False  # choose with the online network, judge with the target (van Hasselt 2016)
    dueling: bool = False  # the value of a state apart from the advantages of its actions (Wang 2016)
    alpha: Fraction = 0.0  # prioritised replay: 0 draws uniformly, 1 in proportion to the surprise (Schaul 2016)
    beta: Fraction = 0.4  # how far importance weights undo that at the start ...
    beta_steps: Duration = 100_000  # ... and environment steps until they do so fully
    n_step: PositiveInt = 1  # rewards summed before bootstrapping (Sutton 1988)
    atoms: PositiveInt = 1  # C51: probabilities of this many returns per action; 1 is off (Bellemare 2017)
    v_min: float | None = None  # lowest return of the support of C51; none: from the returns of the training
    v_max: float | None = None  # highest return of the support of C51; none: from the returns of the training
    quantiles: PositiveInt = 1  # QR-DQN: quantiles of the return per action; 1 is off (Dabney 2018)
    noisy: bool = False  # noise on learned scales in the last layers explores, not random actions (Fortunato 2018)
    munchausen: Fraction = 0.0  # share of the scaled log-policy added to the reward, 0.9 say (Vieillard 2020)
    temperature: Rate = 0.03  # of the softmax policy of --munchausen
    # Target network
    target_update_interval: PositiveInt = 500  # environment steps between updates of the target network
    tau: Annotated[float, Field(gt=0, le=1)] = 1.0  # share of the online weights in an update; 1 copies them
    # Exploration
    epsilon: Fraction = 1.0  # probability of a random action at the start
    epsilon_end: Fraction = 0.05  # and at the end
    epsilon_steps: Duration = 10_000  # environment steps to get there
    # Experience
    num_envs: PositiveInt = 1  # environments stepped side by side
    buffer_size: PositiveInt = 50_000  # transitions kept for replay
    learning_starts: NonNegativeInt = 1_000  # environment steps before learning starts
    seeds: PositiveInt = 1  # independent agents trained side by side
    # Environment
    frame_stack: PositiveInt = 1  # images seen at once, the last ones
    repeat_action_probability: Fraction | None = None  # probability of a repeated action; none: the environment's
    max_episode_steps: PositiveInt | None = None  # cut episodes off; none leaves it to the environment
    clip_reward: bool = False  # learn from the sign of the reward; scores stay whole
    life_loss: bool = False  # a lost life ends the return that is learned; games go on
    # Logging
    eval_episodes: PositiveInt = 20  # greedy episodes per evaluation
    final_episodes: PositiveInt = 100  # fresh greedy episodes of the final score
    # Network
    width: PositiveInt = 128  # hidden units per layer
    depth: PositiveInt = 2  # hidden layers, after the convolutions where observations are images
    layer_norm: bool = False  # keep each hidden layer's mean and scale, so that values do not run away (Gallici 2024)

    def __post_init__(self) -> None:
        if self.atoms > 1 and self.quantiles > 1:
            raise ValueError(f"--atoms {self.atoms} with --quantiles {self.quantiles}: choose one; 1 turns one off")
        if self.atoms > 1 and self.v_min is not None and self.v_max is not None and self.v_min >= self.v_max:
            raise ValueError(f"--v-min {self.v_min:g} is not below --v-max {self.v_max:g}")
        if self.batch > self.buffer_size:
            raise ValueError(f"--batch {self.batch} is more than --buffer-size {self.buffer_size} holds")
        self.holds(self.n_step, f"--n-step {self.n_step}")

    def holds(self, steps: int, window: str) -> None:
        """Raise ValueError where the replay can hold no such window, with the frames before it that a stack needs."""
        if self.buffer_size // self.num_envs < steps + self.frame_stack - 1:
            stack = f", with --frame-stack {self.frame_stack}" if self.frame_stack > 1 else ""
            raise ValueError(
                f"--buffer-size {self.buffer_size} in --num-envs {self.num_envs} holds no window of {window}{stack}:"
                f" {(steps + self.frame_stack - 1) * self.num_envs} would do"
            )

    def check(self, given: Iterable[str]) -> None:
        """Raise UserError where an option in `given` was asked for and another one makes it mean nothing."""
        for name, on, why in (
            ("epsilon", self.noisy, "--noisy explores in place of random actions"),
            ("epsilon_end", self.noisy, "--noisy explores in place of random actions"),
            ("epsilon_steps", self.noisy, "--noisy explores in place of random actions"),
            ("loss", self.atoms > 1, "--atoms descends the cross entropy"),
            ("loss", self.quantiles > 1, "--quantiles descends the quantile Huber loss"),
            ("beta", not self.alpha, "weights belong to prioritised replay, --alpha 0.5 say"),
            ("beta_steps", not self.alpha, "weights belong to prioritised replay, --alpha 0.5 say"),
            ("v_min", self.atoms == 1, "it is the support of C51, --atoms 51 say"),
            ("v_max", self.atoms == 1, "it is the support of C51, --atoms 51 say"),
            ("temperature", not self.munchausen, "it belongs to --munchausen, 0.9 say"),
            ("lr_steps", self.lr_end is None, "it belongs to --lr-end, 1e-5 say"),
        ):
            if on and name in given:
                raise UserError(f"--{name.replace('_', '-')} would change nothing: {why}")


@dataclass(frozen=True)
class DRQN(DQN):
    """Deep recurrent Q-learning: an LSTM of `width` units after `depth` - 1 hidden layers."""

    # Recurrence
    length: PositiveInt = 16  # steps of a sequence that are learned from
    burn_in: NonNegativeInt = 8  # steps before them that only bring the memory up to date (Kapturowski 2019)

    def __post_init__(self) -> None:
        super().__post_init__()
        steps = self.burn_in + self.length + self.n_step
        self.holds(steps, f"--burn-in {self.burn_in}, --length {self.length} and --n-step {self.n_step}")


@dataclass(frozen=True)
class QLearning:
    """Tabular Q-learning."""

    # Learning
    gamma: Fraction = 0.99  # discount per environment step
    lr: Annotated[float, Field(gt=0, le=1)] = 1.0  # step size of the first visit to a state and action
    lr_decay: Fraction = 0.5  # its power: the n-th visit has the step size lr / n^lr_decay; 0 keeps it
    initial_q: float = 0.0  # value before anything was seen; one too high makes the agent try everything
    # Exploration
    epsilon: Fraction = 1.0  # probability of a random action at the start
    epsilon_end: Fraction = 0.1  # and at the end
    epsilon_steps: Duration = 10_000  # environment steps to get there
    # Experience
    num_envs: PositiveInt = 1  # environments stepped side by side
    seeds: PositiveInt = 1  # independent agents trained side by side
    # Environment
    max_episode_steps: PositiveInt | None = None  # cut episodes off; none leaves it to the environment
    # Logging
    eval_episodes: PositiveInt = 20  # greedy episodes per evaluation
    final_episodes: PositiveInt = 100  # fresh greedy episodes of the final score


# A few large bursts against a target that stands still learn more per second than many small steps, and n = 3 carries
# the reward back faster; layer norm keeps the values from running away while they do, and a solved evaluation ends
# the run before the policy can drift away again.
CARTPOLE = {
    "budget": 30_000, "stop_at": 500.0, "log_every": 500, "eval_every": 1_000, "save_every": 10_000,
    "lr": 2e-3, "batch": 128, "width": 128, "n_step": 3, "train_freq": 64, "gradient_steps": 32,
    "target_update_interval": 64,
    "epsilon_steps": 5_000, "epsilon_end": 0.04, "learning_starts": 500, "buffer_size": 30_000, "layer_norm": True,
}  # fmt: skip
BURSTS = {  # of double Q-learning, a gradient step for every two environment steps
    "double": True, "batch": 128, "n_step": 3, "train_freq": 64, "gradient_steps": 32, "target_update_interval": 64,
}  # fmt: skip
SMALL = {  # worlds of few states: what is known of one spreads from step to step
    "num_envs": 8, "double": True, "batch": 128, "depth": 1, "train_freq": 32, "gradient_steps": 8,
    "target_update_interval": 512,
}  # fmt: skip
ENDLESS = {  # games that grow harder for as long as they last
    "budget": 2_000_000, "double": False, "munchausen": 0.9, "layer_norm": True,
    "lr_end": 5e-5, "lr_steps": 2_000_000,
}  # fmt: skip

DEEP: dict[str, dict[str, Any]] = {
    "CartPole": CARTPOLE,
    "CartPoleHidden": {**CARTPOLE, "budget": 50_000},  # cannot do it: one look does not tell how fast things move
    "Acrobot": {
        **BURSTS, "budget": 100_000, "stop_at": -77.0, "eval_every": 5_000, "eval_episodes": 30,
        "lr": 5e-4, "epsilon_end": 0.02,
    },
    # Nothing is won before chance has once led to the top: explore for longer.
    "MountainCar": {
        **BURSTS, "budget": 100_000, "stop_at": -102.0, "eval_every": 5_000, "eval_episodes": 30,
        "lr": 2e-3, "gamma": 0.98, "n_step": 5, "epsilon_steps": 30_000, "epsilon_end": 0.07,
    },
    "LunarLander": {  # look far ahead, and keep being pushed about: it must not be content to hover
        **BURSTS, "budget": 100_000, "stop_at": 240.0, "eval_every": 5_000, "eval_episodes": 30, "layer_norm": True,
        "width": 256, "gamma": 0.995, "lr": 6e-4, "buffer_size": 100_000, "train_freq": 32, "gradient_steps": 16,
        "target_update_interval": 250, "epsilon_steps": 12_000, "epsilon_end": 0.1, "lr_end": 5e-5, "lr_steps": 100_000,
    },
    "FrozenLake": {
        **SMALL, "budget": 50_000, "lr_end": 1e-4, "lr_steps": 50_000, "epsilon_end": 0.5,
    },
    "Taxi": {
        **SMALL, "budget": 50_000, "lr": 2e-3, "train_freq": 64, "gradient_steps": 16, "target_update_interval": 256,
        "epsilon_end": 0.1,
    },
    "GridWorld": {**SMALL, "budget": 30_000, "gamma": 0.95, "epsilon_end": 0.5, "target_update_interval": 128},
    "Catch": {
        "budget": 25_000, "stop_at": 19.9, "eval_every": 2_500, "num_envs": 4, "batch": 32, "depth": 1, "gamma": 0.9,
        "target_update_interval": 200, "epsilon_steps": 5_000, "epsilon_end": 0.02, "learning_starts": 500,
        "buffer_size": 40_000,
    },
    "MinAtar/*": {
        "budget": 1_000_000, "log_every": 5_000, "eval_every": 100_000, "save_every": 100_000,
        "double": True, "num_envs": 16, "train_freq": 64, "gradient_steps": 4, "batch": 128, "n_step": 3, "depth": 1,
        "lr": 3e-4, "adam_eps": 1e-5, "target_update_interval": 2_048,
        "epsilon_steps": 100_000, "epsilon_end": 0.02, "learning_starts": 5_000, "buffer_size": 100_000,
    },
    "MinAtar/Asterix": ENDLESS,
    "MinAtar/Freeway": {"budget": 500_000},
    "MinAtar/Seaquest": ENDLESS,
    "MinAtar/SpaceInvaders": {"budget": 500_000},
    # The network, the optimiser's rate and the batch of rl-baselines3-zoo; double, and n = 3 for a faster start.
    "ALE/*": {
        "budget": 10_000_000, "log_every": 10_000, "eval_every": 250_000, "save_every": 500_000, "eval_episodes": 5,
        "final_episodes": 30,
        "frame_stack": 4, "clip_reward": True, "life_loss": True, "width": 512, "depth": 1,
        "double": True, "num_envs": 8, "train_freq": 16, "gradient_steps": 4, "batch": 32, "n_step": 3,
        "lr": 1e-4, "adam_eps": 1e-5, "target_update_interval": 8_000,
        "epsilon_steps": 250_000, "epsilon_end": 0.01, "learning_starts": 20_000, "buffer_size": 100_000,
    },
}  # fmt: skip

QLEARNING: dict[str, dict[str, Any]] = {
    # Slippery ice needs many visits; where the goal is far, values that begin too high lead there.
    "FrozenLake": {"budget": 100_000, "num_envs": 8},
    "FrozenLake8x8": {
        "budget": 300_000, "eval_every": 30_000, "num_envs": 8,
        "gamma": 0.998, "lr_decay": 0.4, "initial_q": 1.0, "epsilon": 0.1,
    },
    "GridWorld": {"budget": 50_000, "num_envs": 8, "gamma": 0.95, "lr_decay": 0.6, "initial_q": 1.0, "epsilon": 0.1},
    # Nothing is left to chance here: one visit tells all.
    "Taxi": {"budget": 100_000, "num_envs": 8, "lr_decay": 0.0, "epsilon": 0.1},
    "CliffWalking": {
        "budget": 10_000, "log_every": 500, "eval_every": 2_000, "num_envs": 4,
        "lr_decay": 0.0, "epsilon": 0.1, "max_episode_steps": 1_000,
    },
}  # fmt: skip

TUNED: dict[str, dict[str, dict[str, Any]]] = {  # algorithm -> task -> settings, those of the Plan included
    "dqn": DEEP,
    "c51": {"CartPole": {"v_min": 0.0, "v_max": 100.0}},
    "rainbow": {"CartPole": {"v_min": 0.0, "v_max": 100.0}},
    "drqn": {
        "CartPoleHidden": {
            "budget": 100_000, "stop_at": 475.0, "eval_every": 5_000, "lr": 2e-3, "batch": 64, "width": 64,
            "length": 8, "burn_in": 8, "n_step": 3, "train_freq": 64, "gradient_steps": 16,
            "target_update_interval": 64,
            "layer_norm": True, "lr_end": 2e-4, "lr_steps": 100_000,
        },
    },
    "qlearning": QLEARNING,
}  # fmt: skip
