"""What can be wrong with a trained generative model: a discriminator that has won, unused latents and codes."""

from collections.abc import Iterator
from typing import Any

import torch

from rlgen.core.algorithm import HasNetworks
from rlgen.core.dead_units import dead_relus, dead_units
from rlgen.core.findings import Finding, Record
from rlgen.core.images import from_bytes
from rlgen.generative.base import evaluating

IMAGES = 256  # test images, for units and codes
WON = 0.98  # accuracy of a discriminator, on test images and samples
ACTIVE, NATS = 0.1, 1.0  # share of active units, and nats of KL divergence, below which a posterior has collapsed
DEAD = 0.5  # share of codes
GAP = 0.05  # of the nats of test images, relative
RISE = 0.01  # of the nats of test images above their minimum, relative


def findings(record: Record, model: Any | None) -> Iterator[Finding]:
    """Findings from the log and, where the `model` was loaded, from its weights."""
    yield from _discriminator(record)
    yield from _posterior(record)
    yield from _likelihood(record)
    yield from _autoencoder(record)
    if model is not None and hasattr(model, "code_counts"):
        yield from _codebook(record, model)
    if isinstance(model, HasNetworks):
        for name, found in _units(model):
            yield from dead_relus(name, found, f"{record.again} --lr {record.config['lr'] / 3:.2g}")


def _discriminator(record: Record) -> Iterator[Finding]:
    accuracy = record.values("eval_accuracy")[1:]  # the first is that of the untrained networks
    if accuracy and (last := sum(accuracy[-3:]) / len(accuracy[-3:])) > WON:
        softer = "--augment diffaugment" if record.config.get("augment") == "none" else "--r1-weight 1"
        rate = float(record.config.get("discriminator_lr", 1e-3)) / 4
        yield Finding(
            "the discriminator has won", "problem",
            f"it classifies {last:.1%} of test images and samples rightly, so the generator's gradient vanishes",
            last, f"{record.again} --discriminator-lr {rate:.2g} {softer}",
        )  # fmt: skip


def _posterior(record: Record) -> Iterator[Finding]:
    active, kl, latent = record.last("eval_active_units"), record.last("eval_kl"), record.config.get("latent")
    if active is None or kl is None or not latent or record.last("beta") == 0:
        return
    if active / latent < ACTIVE or kl < NATS:
        yield Finding(
            "posterior collapse", "problem",
            f"{active:.0f} of {latent} latent dimensions are active, KL divergence {kl:.3g} nats: the decoder does"
            " without the code",
            active, f"{record.again} --free-bits 0.1 --kl-warmup {max(1, record.info['plan']['budget'] // 2)}",
        )  # fmt: skip


def _likelihood(record: Record) -> Iterator[Finding]:
    test, uniform = record.series.get("eval_nats", []), (record.info.get("result") or {}).get("uniform_nats")
    training = record.values("nats")
    if not test or not test[-1][0]:
        return
    last, (when, lowest) = test[-1][1], min(test, key=lambda point: point[1])
    if uniform is not None and last >= uniform:
        yield Finding(
            "no better than uniform", "problem",
            f"test images have {last:,.4g} nats, a uniform distribution gives them {uniform:,.4g}",
            last - uniform, f"{record.again} --budget {2 * record.info['plan']['budget']}",
        )  # fmt: skip
    if last > lowest + RISE * abs(lowest):
        yield Finding(
            "overfitting", "problem",
            f"test images have {last:,.4g} nats, and had {lowest:,.4g} at {when:,.0f} images",
            last - lowest, f"{record.again} --budget {when:.0f}",
        )  # fmt: skip
    elif training and record.config.get("beta", 1.0) == 1 and last - training[-1] > GAP * abs(last):
        yield Finding(
            "gap between training and test", "note",
            f"test images have {last:,.4g} nats, training images {training[-1]:,.4g}",
            last - training[-1], f"{record.again} --weight-decay 0.0001",
        )  # fmt: skip


def _autoencoder(record: Record) -> Iterator[Finding]:
    mse, pca = record.last("eval_mse"), record.last("eval_pca_mse")
    if mse is not None and pca is not None and record.info["time"] and mse >= pca:
        yield Finding(
            "no better than PCA", "problem",
            f"squared error {mse:.4g} per pixel on test images; PCA of as many components has {pca:.4g}",
            mse / pca, f"rlgen resume {record.run} --budget {2 * record.info['plan']['budget']}",
        )  # fmt: skip


@torch.no_grad()
def _codebook(record: Record, model: Any) -> Iterator[Finding]:
    counts = torch.zeros(model.config.codebook_size, dtype=torch.long)
    with evaluating(model.ema):
        for images in torch.split(model.test_set.images, IMAGES):
            k = model.ema.codebook.nearest(model.ema.encode(from_bytes(images).to(model.device)))
            counts += model.code_counts(k).cpu()
    dead, size = int((counts == 0).sum()), len(counts)
    if dead > DEAD * size:
        yield Finding(
            "dead codewords", "problem",
            f"{dead} of {size} codes are nearest to nothing in {len(model.test_set):,} test images",
            dead / size, f"{record.again} --codebook-size {max(2, size - dead)}",
        )  # fmt: skip


def _units(model: Any) -> Iterator[tuple[str, dict[str, tuple[int, int]]]]:
    """Dead units of each network that takes an image or noise: its name, and counts by layer."""
    x, y = model.test_batch(slice(IMAGES))
    labels = () if y is None else (y,)
    for name, (network, inputs) in model.networks().items():
        shape = tuple(inputs[0].shape[1:])
        noise = torch.randn(len(x), *shape, generator=torch.Generator().manual_seed(0))
        if (shape == tuple(x.shape[1:]) or len(shape) == 1) and len(inputs) == 1 + len(labels):
            device = next(network.parameters()).device
            given = (x if len(shape) == 3 else noise, *labels)
            yield name, dead_units(network, *(value.to(device) for value in given))
