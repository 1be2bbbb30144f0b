"""Settings of a training of milliseconds."""

TINY = {
    "budget": 160,
    "log_every": 80,
    "save_every": 80,
    "final_episodes": 2,
    "eval_episodes": 1,
    "eval_every": 160,
    "epsilon_steps": 100,
}
