"""Presets of the agents: settings that were measured to work on a task, those of the Plan included."""

from typing import Any

# A few large updates against a constant target network learn more per second than many small ones, and n = 3 propagates
# the reward faster; layer norm prevents divergence meanwhile, and a solved evaluation ends the run before the policy
# gets worse again.
CARTPOLE = {
    "budget": 30_000, "stop_at": 500.0, "log_every": 500, "eval_every": 1_000, "save_every": 10_000,
    "lr": 2e-3, "batch": 128, "width": 128, "n_step": 3, "train_freq": 64, "gradient_steps": 32,
    "target_update_interval": 64,
    "epsilon_steps": 5_000, "epsilon_end": 0.04, "learning_starts": 500, "buffer_size": 30_000, "layer_norm": True,
}  # fmt: skip
# Distributional agents keep the larger network. A small one learns Q(s, a) in fewer seconds; evaluations are more
# frequent, as a solved one ends the run. Higher learning rates are quicker, but eight seeds do not stay at 500 then.
QUICK = {"width": 64, "epsilon_steps": 3_000, "eval_every": 500}
LARGE_UPDATES = {  # double Q-learning, one gradient step per two environment steps
    "double": True, "batch": 128, "n_step": 3, "train_freq": 64, "gradient_steps": 32, "target_update_interval": 64,
}  # fmt: skip
FEW_STATES = {  # environments of few states
    "num_envs": 8, "double": True, "batch": 128, "depth": 1, "train_freq": 32, "gradient_steps": 8,
    "target_update_interval": 512,
}  # fmt: skip
LONG = {  # games whose difficulty grows with the length of the episode
    "budget": 2_000_000, "double": False, "munchausen": 0.9, "layer_norm": True,
    "schedule": "linear", "lr_end": 5e-5, "lr_steps": 2_000_000,
}  # fmt: skip

DEEP: dict[str, dict[str, Any]] = {
    "CartPole": {**CARTPOLE, **QUICK},
    # For comparison with drqn: one observation does not determine the velocities.
    "CartPoleHidden": {**CARTPOLE, "budget": 50_000},
    "Acrobot": {
        **LARGE_UPDATES, "budget": 100_000, "stop_at": -77.0, "eval_every": 5_000, "eval_episodes": 30,
        "lr": 5e-4, "epsilon_end": 0.02,
    },
    # Exploration lasts longer: there is no reward signal before the first time at the top.
    "MountainCar": {
        **LARGE_UPDATES, "budget": 100_000, "stop_at": -102.0, "eval_every": 5_000, "eval_episodes": 30,
        "lr": 2e-3, "gamma": 0.98, "n_step": 5, "epsilon_steps": 30_000, "epsilon_end": 0.07,
    },
    "LunarLander": {  # a high γ and a high final ε, against policies that hover for ever
        **LARGE_UPDATES, "budget": 100_000, "stop_at": 240.0, "eval_every": 5_000, "eval_episodes": 30,
        "width": 256, "layer_norm": True, "gamma": 0.995, "lr": 6e-4,
        "schedule": "linear", "lr_end": 5e-5, "lr_steps": 100_000,
        "train_freq": 32, "gradient_steps": 16, "buffer_size": 100_000, "target_update_interval": 250,
        "epsilon_steps": 12_000, "epsilon_end": 0.1,
    },
    "FrozenLake": {
        **FEW_STATES, "budget": 50_000, "schedule": "linear", "lr_end": 1e-4, "lr_steps": 50_000, "epsilon_end": 0.5,
    },
    "Taxi": {
        **FEW_STATES, "budget": 50_000, "lr": 2e-3, "train_freq": 64, "gradient_steps": 16,
        "target_update_interval": 256, "epsilon_end": 0.1,
    },
    "GridWorld": {**FEW_STATES, "budget": 30_000, "gamma": 0.95, "epsilon_end": 0.5, "target_update_interval": 128},
    "Catch": {
        "budget": 25_000, "stop_at": 19.9, "eval_every": 2_500, "num_envs": 4, "batch": 32, "depth": 1, "gamma": 0.9,
        "target_update_interval": 200, "epsilon_steps": 5_000, "epsilon_end": 0.02, "learning_starts": 500,
        "buffer_size": 40_000,
    },
    "MinAtar/*": {
        "budget": 1_000_000, "log_every": 5_000, "eval_every": 100_000, "save_every": 100_000,
        "double": True, "num_envs": 16, "train_freq": 64, "gradient_steps": 4, "batch": 128, "n_step": 3, "depth": 1,
        "lr": 3e-4, "optimizer_eps": 1e-5, "target_update_interval": 2_048,
        "epsilon_steps": 100_000, "epsilon_end": 0.02, "learning_starts": 5_000, "buffer_size": 100_000,
    },
    "MinAtar/Asterix": LONG,
    "MinAtar/Freeway": {"budget": 500_000},
    "MinAtar/Seaquest": LONG,
    "MinAtar/SpaceInvaders": {"budget": 500_000},
    # Network, step size and batch of rl-baselines3-zoo; double Q-learning, and n = 3 for a faster start.
    "ALE/*": {
        "budget": 10_000_000, "log_every": 10_000, "eval_every": 250_000, "save_every": 500_000, "eval_episodes": 5,
        "final_episodes": 30,
        "frame_stack": 4, "clip_reward": True, "life_loss": True, "width": 512, "depth": 1,
        "double": True, "num_envs": 8, "train_freq": 16, "gradient_steps": 4, "batch": 32, "n_step": 3,
        "lr": 1e-4, "optimizer_eps": 1e-5, "target_update_interval": 8_000,
        "epsilon_steps": 250_000, "epsilon_end": 0.01, "learning_starts": 20_000, "buffer_size": 100_000,
    },
}  # fmt: skip

QLEARNING: dict[str, dict[str, Any]] = {
    # A slippery lake needs many visits; optimistic initial values explore where the goal is far.
    "FrozenLake": {"budget": 100_000, "num_envs": 8},
    "FrozenLake8x8": {
        "budget": 300_000, "eval_every": 30_000, "num_envs": 8,
        "gamma": 0.998, "lr_decay": 0.4, "initial_q": 1.0, "epsilon": 0.1,
    },
    "GridWorld": {"budget": 100_000, "num_envs": 8, "gamma": 0.95, "lr_decay": 0.6, "initial_q": 1.0, "epsilon": 0.1},
    # Deterministic environments: a constant step size of 1.
    "Taxi": {"budget": 100_000, "num_envs": 8, "lr_decay": 0.0, "epsilon": 0.1},
    "CliffWalking": {
        "budget": 10_000, "log_every": 500, "eval_every": 2_000, "num_envs": 4,
        "lr_decay": 0.0, "epsilon": 0.1, "max_episode_steps": 1_000,
    },
}  # fmt: skip

TUNED: dict[str, dict[str, dict[str, Any]]] = {  # algorithm -> task -> settings, those of the Plan included
    "dqn": DEEP,
    "c51": {"CartPole": {**CARTPOLE, "v_min": 0.0, "v_max": 100.0}},
    "qrdqn": {"CartPole": CARTPOLE},
    "rainbow": {"CartPole": {**CARTPOLE, "v_min": 0.0, "v_max": 100.0}},
    "drqn": {
        "CartPole": CARTPOLE,
        "CartPoleHidden": {
            "budget": 100_000, "stop_at": 475.0, "eval_every": 5_000, "lr": 2e-3, "batch": 64, "width": 64,
            "length": 8, "burn_in": 8, "n_step": 3, "train_freq": 64, "gradient_steps": 16,
            "target_update_interval": 64,
            "layer_norm": True, "schedule": "linear", "lr_end": 2e-4, "lr_steps": 100_000,
        },
    },
    "qlearning": QLEARNING,
}  # fmt: skip
