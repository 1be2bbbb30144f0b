"""The autoencoder: images compressed to a short code. Hinton & Salakhutdinov 2006, doi:10.1126/science.1127647.

Denoising: Vincent et al. 2008, doi:10.1145/1390156.1390294. k-sparse: Makhzani & Frey 2014, arXiv:1312.5663.
"""

import math

import torch
from torch import Tensor

from rlgen.core import processes
from rlgen.core.algorithm import Metrics
from rlgen.core.images import Grid, from_bytes
from rlgen.core.seeds import derive, torch_stream
from rlgen.core.settings import Setup
from rlgen.data import Dataset
from rlgen.generative import settings
from rlgen.generative.autoencoders.coders import EncoderDecoder
from rlgen.generative.autoencoders.latent import CHUNK_SIZE, LatentModel, Units
from rlgen.generative.base import evaluating
from rlgen.generative.grids import COLUMNS, ROWS, comparison_grid

PRIOR_IMAGES = 10_000  # training images to whose codes the prior of samples is fitted
ACTIVE_SHARE = 1e-3  # of the largest variance among the dimensions of the code, above which a dimension is active
JITTER = 1e-5  # added to the covariance of codes, as a share of their mean variance: constant dimensions have none


class Autoencoder(LatentModel):
    """An encoder and a decoder, trained to reproduce images from a code of few dimensions."""

    Config = settings.Autoencoder
    config: settings.Autoencoder

    def __init__(self, task: str, config: settings.Autoencoder, setup: Setup) -> None:
        super().__init__(task, config, setup)
        self.linear = config.network == "dense" and config.depth == 0
        self.build(setup, config.latent)
        self._pca: float | None = None

    def loss(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Metrics]:
        """E[|x - decode(encode(x~))|²], summed over an image, where x~ is x or, for denoising, x corrupted."""
        with self.autocast():
            z = self.latent_code(self.network, self.corrupt(x, self.noise), y)
            reconstruction = self.decoded_mean(self.network, z, y)
        error = (reconstruction - x).square().flatten(1).sum(1).mean()
        return error, {"mse": error.detach() / math.prod(self.shape)}

    def latent_code(self, network: EncoderDecoder, x: Tensor, y: Tensor | None) -> Tensor:
        """(B, C, H, W) -> (B, Z), all but the `k_sparse` largest dimensions set to 0."""
        return k_largest(network.encode(x), self.config.k_sparse)

    def decoded_mean(self, network: EncoderDecoder, z: Tensor, y: Tensor | None) -> Tensor:
        """(B, Z) -> (B, C, H, W); outputs of a linear network may lie outside [0, 1]."""
        out = network.decode(z).squeeze(-1).float()
        return out if self.linear else out.sigmoid()

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of codes by the EMA network: (N, Z) -> (N, C, H, W) in [0, 1] on the CPU."""
        return super().decode(k_largest(z, self.config.k_sparse), labels).clamp(0, 1)

    def corrupt(self, x: Tensor, stream: torch.Generator) -> Tensor:
        """Images (B, C, H, W) with Gaussian noise of `noise_std` and a `mask_fraction` of their pixels set to 0."""
        if self.config.noise_std:
            x = x + self.config.noise_std * processes.rows(
                lambda n: torch.randn(n, *x.shape[1:], generator=stream), len(x)
            ).to(x.device)
        if self.config.mask_fraction:
            chance = processes.rows(lambda n: torch.rand(n, 1, *x.shape[2:], generator=stream), len(x))
            x = x * (chance >= self.config.mask_fraction).to(x)
        return x

    def measure(self) -> Metrics:
        """Mean squared error per pixel of test images, also from corrupted ones for denoising, and that of PCA."""
        if self._pca is None:  # a function of the data alone
            self._pca = pca_error(self.load("train"), self.test_set, self.config.k_sparse or self.config.latent)
        mse = self._error(corrupt=False)
        metrics: dict[str, Tensor | float] = {
            "eval_mse": mse,
            "eval_psnr": -10 * mse.log10(),
            "eval_pca_mse": self._pca,
        }
        if self.config.noise_std or self.config.mask_fraction:
            metrics["eval_denoised_mse"] = self._error(corrupt=True)
        return metrics

    def prior(self) -> tuple[Tensor, Tensor]:
        """A Gaussian fitted to codes of training images, which are not Gaussian by training: samples are rough."""
        z = self.encode(from_bytes(self.data.images[:PRIOR_IMAGES].permute(0, 3, 1, 2))).double()
        covariance = z.T.cov().reshape(len(z.T), -1) if len(z) > 1 else torch.eye(len(z.T), dtype=z.dtype)
        shift = JITTER * covariance.diagonal().mean().clamp(min=1e-6)
        root = torch.linalg.cholesky(covariance + shift * torch.eye(len(covariance), dtype=z.dtype))
        return z.mean(0).float(), root.float()

    def units(self, x: Tensor, labels: Tensor | None = None) -> Units:
        """By the variance between images; there is no prior from which a code could diverge."""
        codes = self.encode(x, labels)
        variance = codes.var(0, correction=min(1, len(x) - 1))
        return Units(codes, variance, "variance over test images", variance > ACTIVE_SHARE * variance.max())

    def _error(self, corrupt: bool) -> Tensor:
        """Mean over test images and their pixels of the squared error."""
        stream, total = torch_stream(derive(self.seed, "evaluation"), "noise"), torch.zeros((), dtype=torch.float64)
        with evaluating(self.ema):
            for index in torch.split(torch.arange(len(self.test_set)), CHUNK_SIZE):
                x = self.test_batch(index)[0].to(self.device)
                z = self.latent_code(self.ema, self.corrupt(x, stream) if corrupt else x, None)
                reconstruction = self.decoded_mean(self.ema, z, None).clamp(0, 1)
                total += (reconstruction - x).square().sum().cpu().double()
        return total / (len(self.test_set) * math.prod(self.shape))

    def reconstructions(self) -> Grid:
        """Rows of test images, for denoising of the corrupted images, and of their reconstructions."""
        if not (self.config.noise_std or self.config.mask_fraction):
            return super().reconstructions()
        x, _ = self.test_batch(torch.arange(COLUMNS * ROWS // 2) % len(self.test_set))
        corrupted = self.corrupt(x, torch_stream(derive(self.seed, "sheet"), "noise"))
        rows = {"image": x, "corrupted": corrupted.clamp(0, 1), "reconstruction": self.reconstruct(corrupted)}
        return comparison_grid("reconstructions", **rows)


def k_largest(code: Tensor, k: int) -> Tensor:
    """(B, Z) with all but the k largest values of each row set to 0; unchanged for k = 0."""
    if not k:
        return code
    index = code.topk(k, 1).indices
    return code * torch.zeros_like(code).scatter_(1, index, 1)


def pca_error(train: Dataset, test: Dataset, components: int) -> float:
    """Mean squared error per pixel of test images projected on the first principal components of training images."""
    from sklearn.decomposition import PCA

    x_train, x = (dataset.images.flatten(1).numpy().astype("float32") for dataset in (train, test))
    pca = PCA(min(components, *x_train.shape), copy=False, random_state=0).fit(x_train)  # a copy doubles the memory
    reconstruction = pca.inverse_transform(pca.transform(x)).clip(0, 255)
    return float((((reconstruction - x) / 255) ** 2).mean(dtype="float64"))
