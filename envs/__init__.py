"""Environments by short name, stepped side by side: `Lanes("CartPole", lanes=8, seed=0)`."""

from envs.lanes import Lanes, Step
from envs.names import describe, resolve, short

__all__ = ["Lanes", "Step", "describe", "resolve", "short"]
