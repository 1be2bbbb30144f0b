"""What the agents can be told, and what was found to work for each task. Imports no torch, so `--help` is quick."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from rlgen.core.settings import Fraction, Rate


@dataclass(frozen=True)
class DQN:
    """Deep Q-learning."""

    # Learning
    lr: Rate = 1e-3  # step size of Adam
    gamma: Fraction = 0.99  # discount per environment step
    batch: PositiveInt = 64  # transitions per gradient step
    train_every: PositiveInt = 4  # environment steps between bursts of gradient steps, at least one of each lane
    updates: PositiveInt = 1  # gradient steps per burst
    loss: Literal["huber", "mse"] = "huber"  # how a TD error is punished
    clip: PositiveFloat = 10.0  # bound on the norm of the gradient; inf for none
    double: bool = False  # choose with the online network, judge with the target (van Hasselt 2016)
    n_step: PositiveInt = 1  # rewards summed before bootstrapping (Sutton 1988)
    # Target network
    sync_every: PositiveInt = 500  # environment steps between updates of the target network
    tau: Annotated[float, Field(gt=0, le=1)] = 1.0  # share of the online weights in an update; 1 copies them
    # Exploration
    epsilon: Fraction = 1.0  # probability of a random action at the start
    epsilon_end: Fraction = 0.05  # and at the end
    epsilon_steps: PositiveInt = 10_000  # environment steps to get there
    # Experience
    lanes: PositiveInt = 1  # environments stepped side by side
    capacity: PositiveInt = 50_000  # transitions kept for replay
    warmup: NonNegativeInt = 1_000  # environment steps before learning starts
    seeds: PositiveInt = 1  # independent agents trained side by side
    # Network
    width: PositiveInt = 128  # hidden units per layer
    depth: PositiveInt = 2  # hidden layers


@dataclass(frozen=True)
class QLearning:
    """Tabular Q-learning."""

    # Learning
    gamma: Fraction = 0.99  # discount per environment step
    lr: Annotated[float, Field(gt=0, le=1)] = 1.0  # step size of the first visit to a state and action
    lr_decay: Fraction = 0.6  # its power: the n-th visit has the step size lr / n^lr_decay; 0 keeps it
    initial: float = 0.0  # value before anything was seen; one too high makes the agent try everything
    # Exploration
    epsilon: Fraction = 1.0  # probability of a random action at the start
    epsilon_end: Fraction = 0.1  # and at the end
    epsilon_steps: PositiveInt = 10_000  # environment steps to get there
    # Experience
    lanes: PositiveInt = 1  # environments stepped side by side
    seeds: PositiveInt = 1  # independent agents trained side by side
    # Environment
    max_episode_steps: PositiveInt | None = None  # cut episodes off; none leaves it to the environment
    # Logging
    eval_episodes: PositiveInt = 20  # greedy episodes per evaluation


# A few large bursts against a target that stands still learn more per second than many small steps, and n = 3 carries
# the reward back faster; a solved evaluation ends the run before the policy can drift away again.
CARTPOLE = {
    "budget": 30_000, "stop_at": 495.0, "log_every": 500, "eval_every": 1_000, "save_every": 10_000,
    "lr": 2e-3, "batch": 128, "width": 128, "n_step": 3, "train_every": 64, "updates": 32, "sync_every": 64,
    "epsilon_steps": 5_000, "epsilon_end": 0.04, "warmup": 500, "capacity": 30_000,
}  # fmt: skip

TUNED: dict[str, dict[str, dict[str, Any]]] = {  # algorithm -> task -> settings, those of the Plan included
    "dqn": {"CartPole": CARTPOLE},
}

EXPECTED: dict[str, dict[str, str]] = {  # algorithm -> task -> what the tuned settings reached when measured
    "dqn": {"CartPole": "499 to 500 in 10 of 10 seeds after 4,000 to 16,000 steps; 9 s on one core"},
}
