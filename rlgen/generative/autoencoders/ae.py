"""The autoencoder: an image through a few numbers and back. Hinton & Salakhutdinov 2006, doi:10.1126/science.1127647.

Denoising: Vincent et al. 2008, doi:10.1145/1390156.1390294. k-sparse: Makhzani & Frey 2014, arXiv:1312.5663.
"""

import math

import torch
from torch import Tensor

from rlgen.core.algorithm import Metrics
from rlgen.core.images import Grid
from rlgen.core.seeds import derive, torch_stream
from rlgen.core.settings import Setup
from rlgen.data import Dataset
from rlgen.generative import settings
from rlgen.generative.autoencoders.coders import EncoderDecoder
from rlgen.generative.autoencoders.latent import CHUNK_SIZE, Latent
from rlgen.generative.base import evaluating
from rlgen.generative.grids import COLUMNS, ROWS, comparison_grid

CODES = 10_000  # training images whose codes say where samples are drawn
JITTER = 1e-5  # of their mean variance: numbers of a code that are always alike have none


class Autoencoder(Latent):
    """Learn a short code of images by making them again from it."""

    Config = settings.Autoencoder
    config: settings.Autoencoder

    def __init__(self, task: str, config: settings.Autoencoder, setup: Setup) -> None:
        super().__init__(task, config, setup)
        self.linear = config.network == "dense" and config.depth == 0
        self.build(setup, config.latent)
        self._pca: float | None = None

    def loss(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Metrics]:
        """|x - decode(encode(x~))|² summed over an image, x~ being x with noise in it where that is asked for."""
        with self.autocast():
            again = self.decoded_mean(self.network, self.latent_code(self.network, self.corrupt(x, self.noise), y), y)
        error = (again - x).square().flatten(1).sum(1).mean()
        return error, {"mse": error.detach() / math.prod(self.shape)}

    def latent_code(self, network: EncoderDecoder, x: Tensor, y: Tensor | None) -> Tensor:
        """(B, C, H, W) -> (B, Z), all but the k largest numbers of a sparse code being 0."""
        return largest(network.encode(x), self.config.k_sparse)

    def decoded_mean(self, network: EncoderDecoder, z: Tensor, y: Tensor | None) -> Tensor:
        """(B, Z) -> (B, C, H, W); that of a linear network may leave [0, 1]."""
        out = network.decode(z).squeeze(-1).float()
        return out if self.linear else out.sigmoid()

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of codes (N, Z), by the averaged weights: (N, C, H, W) in [0, 1] on the CPU."""
        return super().decode(largest(z, self.config.k_sparse), labels).clamp(0, 1)

    def corrupt(self, x: Tensor, stream: torch.Generator) -> Tensor:
        """The image with Gaussian noise added, or with some of its pixels black; as it is without either."""
        if self.config.noise_std:
            x = x + self.config.noise_std * torch.randn(x.shape, generator=stream).to(x.device)
        if self.config.mask_fraction:
            x = x * (torch.rand(len(x), 1, *x.shape[2:], generator=stream) >= self.config.mask_fraction).to(x)
        return x

    def measure(self) -> Metrics:
        """Squared error per pixel of the test images, from disturbed ones too, beside that of PCA."""
        if self._pca is None:  # follows from the data alone
            self._pca = pca_error(self.load("train"), self.test_set, self.config.k_sparse or self.config.latent)
        mse = self._error(disturb=False)
        metrics: dict[str, Tensor | float] = {
            "eval_mse": mse,
            "eval_psnr": -10 * mse.log10(),
            "eval_pca_mse": self._pca,
        }
        if self.config.noise_std or self.config.mask_fraction:
            metrics["eval_denoised_mse"] = self._error(disturb=True)
        return metrics

    def prior(self) -> tuple[Tensor, Tensor]:
        """A Gaussian fitted to codes of training images: nothing in training makes them one, so samples are rough."""
        z = self.encode(self.data.images[:CODES].permute(0, 3, 1, 2) / 255).double()
        covariance = z.T.cov().reshape(len(z.T), -1) if len(z) > 1 else torch.eye(len(z.T), dtype=z.dtype)
        shift = JITTER * covariance.diagonal().mean().clamp(min=1e-6)
        root = torch.linalg.cholesky(covariance + shift * torch.eye(len(covariance), dtype=z.dtype))
        return z.mean(0).float(), root.float()

    def _error(self, disturb: bool) -> Tensor:
        """Mean over test images and their pixels of the squared error."""
        stream, total = torch_stream(derive(self.seed, "evaluation"), "noise"), torch.zeros((), dtype=torch.float64)
        with evaluating(self.ema):
            for index in torch.split(torch.arange(len(self.test_set)), CHUNK_SIZE):
                x = self.test_batch(index)[0].to(self.device)
                seen = self.corrupt(x, stream) if disturb else x
                again = self.decoded_mean(self.ema, self.latent_code(self.ema, seen, None), None).clamp(0, 1)
                total += (again - x).square().sum().cpu().double()
        return total / (len(self.test_set) * math.prod(self.shape))

    def reconstructions(self) -> Grid:
        """Rows of test images, of the corrupted images that are encoded, if they are, and of their reconstructions."""
        if not (self.config.noise_std or self.config.mask_fraction):
            return super().reconstructions()
        x, _ = self.test_batch(torch.arange(COLUMNS * ROWS // 2) % len(self.test_set))
        seen = self.corrupt(x, torch_stream(derive(self.seed, "sheet"), "noise"))
        return comparison_grid(
            "reconstructions", image=x, corrupted=seen.clamp(0, 1), reconstruction=self.reconstruct(seen)
        )


def largest(code: Tensor, k: int) -> Tensor:
    """(B, Z) with all but its k largest numbers set to 0; as it is for k = 0."""
    if not k:
        return code
    index = code.topk(k, 1).indices
    return code * torch.zeros_like(code).scatter_(1, index, 1)


def pca_error(train: Dataset, test: Dataset, components: int) -> float:
    """Squared error per pixel of test images through as many principal components of the training images."""
    from sklearn.decomposition import PCA

    seen, x = (dataset.images.flatten(1).numpy().astype("float32") for dataset in (train, test))
    pca = PCA(min(components, *seen.shape), copy=False, random_state=0).fit(seen)  # a copy would double the memory
    again = pca.inverse_transform(pca.transform(x)).clip(0, 255)
    return float((((again - x) / 255) ** 2).mean(dtype="float64"))
