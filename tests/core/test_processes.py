import json
import os
import socket
import subprocess
import sys

import pytest

from tests.core import pair

CONV = {"batch": 32, "width": 4}
GAN = {**CONV, "discriminator_width": 4, "latent": 3}
FREE = {"free_bits": 0.053, "beta": 100.0, "kl_warmup": 0}  # more than a KL divergence in one share, less in the other
PIXELS = {"batch": 32, "blocks": 1, "width": 4, "head_width": 4}
MOMENTUM = {
    "optimizer": "momentum",
    "lr": 1e-3,
}  # Adam makes a step of rounding where a gradient is 0: of a critic's bias
CASES = {  # name, task, settings, steps
    "dcgan, batch norm": ("gan", "digits", {**GAN, "augment": "diffaugment", "conditional": True}, 3),
    "residual, adaptive augmentation": (
        "gan", "digits", {**GAN, "architecture": "residual", "augment": "adaptive", "augment_images": 300}, 9,
    ),
    "gradient penalty": (
        "wgan-gp", "digits", {**GAN, "critic_steps": 2, "r1_weight": 0.1, "r1_interval": 2, **MOMENTUM}, 4,
    ),
    "points": ("gan", "ring", {"batch": 20, "width": 8, "discriminator_width": 8}, 3),
    "ae": ("ae", "digits", {**CONV, "latent": 3, "noise_std": 0.1, "mask_fraction": 0.2}, 3),
    "vae, free bits": ("vae", "digits", {**CONV, "latent": 3, "accumulate": 2, **FREE}, 4),
    "vqvae": ("vqvae", "digits", {**CONV, "codebook_size": 8, "code_dim": 4, "prior_width": 4, "prior_blocks": 1}, 4),
    "pixelcnn": ("pixelcnn", "digits", PIXELS, 3),
    "gated": ("gated-pixelcnn", "digits", PIXELS, 2),
    "pixelrnn": ("pixelrnn", "digits", {"batch": 32, "layers": 1, "width": 4, "head_width": 4}, 2),
    "classifier": (
        "classify", "digits",
        {"batch": 32, "norm": "batch", "augment": "shift,mixup", "dropout": 0.3, "max_grad_norm": 0.5}, 3,
    ),
    "an epoch that ends with 83 of 1,427 images": (
        "classify", "digits", {"batch": 96, "norm": "batch", "validation": 0.05, **MOMENTUM}, 17,
    ),
}  # fmt: skip


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def environment(rank, count, port):
    """That of torchrun."""
    return {
        **os.environ, "RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_WORLD_SIZE": str(count),
        "TORCH_CPP_LOG_LEVEL": "ERROR",  # of the store, which is in the first process here
    }  # fmt: skip


@pytest.fixture(scope="module")
def together():
    """The metrics of two processes, by case."""
    port, words = free_port(), [sys.executable, "-m", "tests.core.pair", json.dumps(list(CASES.values()))]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    pair_ = [subprocess.Popen(words, env=environment(rank, 2, port), **pipes) for rank in range(2)]
    try:
        output = [process.communicate(timeout=120) for process in pair_]
    finally:
        for process in pair_:
            process.kill()
    assert [process.returncode for process in pair_] == [0, 0], output
    return dict(zip(CASES, json.loads(output[0][0]), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_two_processes_with_half_of_each_minibatch_train_as_one_does(together, case):
    name, task, settings, count = CASES[case]
    alone = pair.steps(pair.build(name, task, settings), count)
    assert len(alone) == len(together[case])
    for number, (one, two) in enumerate(zip(alone, together[case], strict=True)):
        assert one == pytest.approx(two, rel=1e-4, abs=1e-6), f"step {number}"
