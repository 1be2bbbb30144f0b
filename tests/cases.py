"""Small runs of every algorithm of the catalog, by name: the algorithm, its task and its settings."""

from dataclasses import fields

from rlgen.catalog import CATALOG
from rlgen.core.settings import Plan, Setup

AGENT = {
    "train_freq": 4,
    "gradient_steps": 1,
    "tau": 1.0,
    "width": 8,
    "buffer_size": 200,
    "learning_starts": 100,
    "batch": 16,
    "target_update_interval": 60,
    "epsilon_steps": 300,
}
AGENT_PLAN = {"budget": 600, "log_every": 50, "eval_every": 300, "save_every": 100, "eval_episodes": 5}
TABLE_PLAN = {"budget": 1_400, "log_every": 100, "eval_every": 700, "save_every": 300, "eval_episodes": 3}
RAINBOW = {name: value for name, value in AGENT.items() if name != "epsilon_steps"} | {"atoms": 11}
RECURRENT = {"length": 6, "burn_in": 3, "train_freq": 8}
MODEL = {"width": 2, "latent": 4, "batch": 100, "threads": 1}
RESIDUAL = {"size": 8, "architecture": "residual", "r1_weight": 1.0, "r1_interval": 4, "augment": "diffaugment"}
LINEAR = {"schedule": "linear", "lr_end": 1e-5, "lr_steps": 500}
COSINE = {"schedule": "cosine", "lr_steps": 1_200}
CODER = {"width": 8, "depth": 1, "latent": 4, "batch": 100, "threads": 1, **COSINE}
WORDS = {"width": 4, "codebook_size": 8, "code_dim": 4, "prior_width": 8, "prior_blocks": 1, "batch": 100, "threads": 1}
PIXELS = {"width": 4, "head_width": 4, "first_kernel": 3, "batch": 100, "threads": 1, **COSINE}
SCANS = {**PIXELS, "layers": 1}
NETWORK = {"width": 0.25, "batch": 100, "threads": 1}
MODEL_PLAN = {"budget": 1_500, "log_every": 150, "eval_every": 750, "save_every": 250}  # a little more than an epoch
SUCCESSIVE = {"members": 4, "lr_steps": 1_500}  # parts of the training that end between checkpoints
CASES = {
    "dqn": ("dqn", "CartPole", {**AGENT, **AGENT_PLAN}),
    "dqn with everything": (
        "dqn",
        "CartPole",
        {
            **AGENT,
            **AGENT_PLAN,
            "seeds": 3,
            "n_step": 3,
            "double": True,
            "tau": 0.1,
            "num_envs": 2,
            "seed": 7,
        },
    ),
    "dqn on a lake": ("dqn", "FrozenLake", {**AGENT, **AGENT_PLAN, "loss": "mse"}),
    "dqn with a mask": (
        "dqn",
        "Taxi",
        {**AGENT, **AGENT_PLAN, "munchausen": 0.9, "alpha": 0.5, "dueling": True, "max_episode_steps": 40},
    ),
    "dqn on large images": (
        "dqn",
        "tests.envs.toy_environments:TestSmallImage-v0",
        {**AGENT, **AGENT_PLAN, "depth": 1, "frame_stack": 2},
    ),
    "dqn with an encoder": (
        "dqn",
        "tests.envs.toy_environments:TestSmallImage-v0",
        {**AGENT, **AGENT_PLAN, "depth": 1, "encoder": "lenet5", "seeds": 2},
    ),
    "c51": ("c51", "CartPole", {**AGENT, **AGENT_PLAN, "atoms": 11}),
    "qrdqn": ("qrdqn", "CartPole", {**AGENT, **AGENT_PLAN, "quantiles": 5, **LINEAR}),
    "rainbow": ("rainbow", "CartPole", {**RAINBOW, **AGENT_PLAN}),
    "rainbow of two seeds": ("rainbow", "CartPole", {**RAINBOW, **AGENT_PLAN, "seeds": 2, "num_envs": 2}),
    "drqn": ("drqn", "CartPoleHidden", {**AGENT, **RECURRENT, **AGENT_PLAN, "alpha": 0.5}),
    "qlearning": ("qlearning", "GridWorld", {**TABLE_PLAN, "seeds": 3, "num_envs": 2, "epsilon_steps": 900}),
    "qlearning with masks": ("qlearning", "Taxi", {**TABLE_PLAN, "lr_decay": 0.0}),
    "gan": ("gan", "digits", {**MODEL, **MODEL_PLAN, "conditional": True}),
    "lsgan adapting": ("lsgan", "digits", {**MODEL, **MODEL_PLAN, "augment": "adaptive", "augment_images": 2_000}),
    "residual hinge": ("hinge", "digits", {**MODEL, **MODEL_PLAN, **RESIDUAL}),
    "gan with a network": ("gan", "digits", {**MODEL, **MODEL_PLAN, "size": 12, "discriminator": "lenet5"}),
    "wgan-gp": ("wgan-gp", "digits", {**MODEL, **MODEL_PLAN, "size": 8, "discriminator_width": 4, "critic_steps": 4}),
    "ae": ("ae", "digits", {**CODER, **MODEL_PLAN, "noise_std": 0.3, "k_sparse": 2}),
    "ae of convolutions": ("ae", "digits", {**CODER, **MODEL_PLAN, "network": "convolutional", "mask_fraction": 0.3}),
    "vae": ("vae", "digits", {**CODER, **MODEL_PLAN, "conditional": True, "kl_warmup": 1_000}),
    "vae of greys": ("vae", "digits", {**CODER, **MODEL_PLAN, "likelihood": "mixture", "free_bits": 0.1}),
    "vqvae": ("vqvae", "digits", {**WORDS, **MODEL_PLAN, "conditional": True}),
    "pixelcnn": ("pixelcnn", "digits", {**PIXELS, **MODEL_PLAN, "width_multiplier": 2, "conditional": True}),
    "gated-pixelcnn": (
        "gated-pixelcnn",
        "digits",
        {**PIXELS, **MODEL_PLAN, "blocks": 2, "levels": 2, "width_multiplier": 1},
    ),
    "pixelrnn by diagonals": ("pixelrnn", "digits", {**SCANS, **MODEL_PLAN, "scan": "diagonal"}),
    "pixelcnn in half precision": (
        "pixelcnn",
        "digits",
        {**PIXELS, **MODEL_PLAN, "levels": 1, "precision": "bfloat16"},
    ),
    "pixelrnn": ("pixelrnn", "digits", {**SCANS, **MODEL_PLAN, "likelihood": "bernoulli", "binarise": "static"}),
    "classify": ("classify", "digits", {**NETWORK, **MODEL_PLAN, "augment": "shift,mixup", "schedule": "one-cycle"}),
    "classify with seeds": ("classify", "digits", {**NETWORK, **MODEL_PLAN, "seeds": 2, "dropout": 0.3}),
    "average": ("classify", "digits", {**NETWORK, **MODEL_PLAN, "ensemble": "average", "members": 3}),
    "bagging of convolutions": (
        "classify",
        "digits",
        {**NETWORK, **MODEL_PLAN, "network": "fast", "ensemble": "bagging", "members": 2, "augment": "shift"},
    ),
    "boosting": ("classify", "digits", {**NETWORK, **MODEL_PLAN, "ensemble": "boosting", **SUCCESSIVE}),
    "snapshot": ("classify", "digits", {**NETWORK, **MODEL_PLAN, "ensemble": "snapshot", **SUCCESSIVE}),
    "folds": ("classify", "digits", {**NETWORK, **MODEL_PLAN, "folds": 3}),
    "knn": (
        "knn",
        "digits",
        {**MODEL_PLAN, "budget": 2_400, "log_every": 200, "eval_every": 1_200, "max_k": 3, "threads": 1},
    ),
}

# A new algorithm needs no line above: those of these settings that it has make it small.
SMALL = {
    "agent": {**RAINBOW, **AGENT_PLAN, **RECURRENT, "atoms": 1, "depth": 1},
    "classifier": {**NETWORK, **MODEL_PLAN},
    "model": {**MODEL, **WORDS, **PIXELS, **MODEL_PLAN, "depth": 1, "layers": 1, "blocks": 1},
}


def small(entry):
    """The task of its examples, or the smallest dataset, and settings that make an algorithm of the catalog small."""
    known = {f.name for settings in (entry.config, Setup, Plan) for f in fields(settings)}
    chosen = {name: value for name, value in SMALL[entry.kind.name].items() if name in known}
    return entry.name, entry.kind.fallback or entry.task, chosen


covered = {algorithm for algorithm, _, _ in CASES.values()}
CASES |= {name: small(entry) for name, entry in CATALOG.items() if name not in covered}
