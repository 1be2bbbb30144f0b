"""The variational autoencoder (VAE). Kingma & Welling 2014, arXiv:1312.6114; Rezende et al. 2014, arXiv:1401.4082.

β: Higgins et al. 2017. KL warm-up: Bowman et al. 2016, arXiv:1511.06349. Free bits: Kingma et al. 2016,
arXiv:1606.04934. Importance-weighted bound (IWAE) and active units: Burda et al. 2016, arXiv:1509.00519. Conditional:
Sohn et al. 2015.
"""

import math

import torch
from torch import Tensor

from rlgen.core import processes
from rlgen.core.algorithm import Metrics
from rlgen.core.schedule import linear
from rlgen.core.seeds import derive, torch_stream
from rlgen.core.settings import Setup
from rlgen.generative import settings
from rlgen.generative.autoencoders.coders import EncoderDecoder
from rlgen.generative.autoencoders.latent import CHUNK_SIZE, LatentModel, Units
from rlgen.generative.base import evaluating
from rlgen.generative.likelihoods import bits_per_dim

IWAE_SAMPLES = 50  # codes per image in the importance-weighted bound of an evaluation ...
FINAL_IWAE_SAMPLES = 500  # ... and of a report
IWAE_IMAGES = 1_000  # test images on which its gain over the ELBO is measured
IWAE_CHUNK_SIZE = 5_000  # images decoded at once for it, to bound the memory
ACTIVE_VARIANCE = 0.01  # of the posterior mean over images, above which a dimension of the code is active
MAX_LOG_VARIANCE = 10.0  # of the posterior, and the negative of the smallest: keeps the loss finite


class VAE(LatentModel):
    """An encoder q(z|x) and a decoder p(x|z), trained to maximise a lower bound (ELBO) on log p(x).

    A conditional model has the label y as a further input of both: q(z|x, y), p(x|z, y), and a bound on log p(x|y).
    """

    Config = settings.VAE
    config: settings.VAE

    def __init__(self, task: str, config: settings.VAE, setup: Setup) -> None:
        super().__init__(task, config, setup)
        self.prepare_data(setup)
        self.build(setup, 2 * config.latent)

    def loss(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Metrics]:
        """-log p(x|z) + β Σⱼ max(free bits, KLⱼ) for one z from q(z|x), in nats per image, mean over the batch.

        KLⱼ is the divergence KL(q(zⱼ|x) ‖ p(zⱼ)) of dimension j, mean over the batch.
        """
        x = self.binarise_batch(x)
        with self.autocast():
            mean, log_variance = self.posterior(self.network, x, y)
            noise = processes.rows(lambda n: torch.randn(n, mean.shape[1], generator=self.noise), len(x))
            z = reparameterize(mean, log_variance, noise.to(mean))
            log_likelihood = self.log_likelihood(self.network, x, z, y)
        kl = kl_divergence(mean, log_variance)  # (B, Z)
        penalty = processes.mean(kl.mean(0)).clamp(min=self.config.free_bits).sum()
        loss = self.beta() * penalty - log_likelihood.mean()
        total_kl = kl.detach().sum(1).mean()
        return loss, {"nats": total_kl - log_likelihood.detach().mean(), "kl": total_kl, "beta": self.beta()}

    def beta(self) -> float:
        """The weight of the KL divergence, which rises from 0 over `kl_warmup` images."""
        return linear(0, self.config.beta, self.config.kl_warmup, self.time)

    def posterior(self, network: EncoderDecoder, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x): (B, C, H, W), (B,) -> twice (B, Z)."""
        mean, log_variance = network.encode(x, y).chunk(2, 1)
        return mean, log_variance.clamp(-MAX_LOG_VARIANCE, MAX_LOG_VARIANCE)

    def log_likelihood(self, network: EncoderDecoder, x: Tensor, z: Tensor, y: Tensor | None) -> Tensor:
        """log p(x|z), summed over an image: (B,)."""
        return self.likelihood.log_prob(network.decode(z, y), x).flatten(1).sum(1)

    def latent_code(self, network: EncoderDecoder, x: Tensor, y: Tensor | None) -> Tensor:
        """The mean of q(z|x): (B, Z)."""
        return self.posterior(network, x, y)[0]

    def decoded_mean(self, network: EncoderDecoder, z: Tensor, y: Tensor | None) -> Tensor:
        """The mean of p(x|z): (B, C, H, W) in [0, 1]."""
        return self.likelihood.mean(network.decode(z, y))

    def prior(self) -> tuple[Tensor, Tensor]:
        """p(z) = N(0, I)."""
        return torch.zeros(self.config.latent), torch.eye(self.config.latent)

    def units(self, x: Tensor, labels: Tensor | None = None) -> Units:
        """By the mean divergence KL(q(zⱼ|x) ‖ p(zⱼ)); active where the posterior mean varies between images."""
        mean = self.encode(x, labels)
        log_variance = self._chunked(lambda network, x, y: self.posterior(network, x, y)[1], x, labels)
        active = mean.var(0, correction=min(1, len(x) - 1)) > ACTIVE_VARIANCE
        return Units(mean, kl_divergence(mean, log_variance).mean(0), "KL divergence in nats", active)

    def measure(self) -> Metrics:
        """Bounds on -log p(x) of the test images at β = 1."""
        return self.bounds(IWAE_SAMPLES, IWAE_IMAGES)

    def final(self) -> Metrics:
        """The same bounds with more samples, and the nats and bits of a uniform distribution for comparison."""
        return {**self.bounds(FINAL_IWAE_SAMPLES, IWAE_IMAGES), **self.uniform_baseline()}

    def bounds(self, samples: int, images: int | None = None) -> Metrics:
        """-ELBO at β = 1 and its two terms, the importance-weighted bound of `samples`, active units.

        Nats per image, mean over all test images. The gain of the importance-weighted bound over the mean bound of the
        same samples is measured on `images` of them only, evenly spaced, because it varies little between images.
        """
        stream = torch_stream(derive(self.seed, "evaluation"), "z")
        everything = torch.arange(len(self.test_set))
        log_likelihoods, kls, means = [], [], []
        with evaluating(self.ema):
            for index in torch.split(everything, self.chunk_size(CHUNK_SIZE)):
                x, y = self._on_device(index)
                mean, log_variance = self.posterior(self.ema, x, y)
                z = reparameterize(mean, log_variance, torch.randn(mean.shape, generator=stream).to(mean))
                log_likelihoods.append(self.log_likelihood(self.ema, x, z, y).cpu().double())
                kls.append(kl_divergence(mean, log_variance).sum(1).cpu().double())
                means.append(mean.cpu())
            log_likelihood, kl = torch.cat(log_likelihoods), torch.cat(kls)
            subset = everything[:: max(1, len(everything) // (images or len(everything)))]
            gain = self._iwae_gains(subset, samples, stream).mean()
        nats = (kl - log_likelihood).mean()
        variance = torch.cat(means).var(0, correction=min(1, len(everything) - 1))  # (Z,)
        return {
            "eval_nats": nats,
            "eval_reconstruction": -log_likelihood.mean(),
            "eval_kl": kl.mean(),
            f"eval_iwae_{samples}": nats - gain,
            "eval_bits": bits_per_dim(nats.item(), math.prod(self.shape)),
            "eval_active_units": float((variance > ACTIVE_VARIANCE).sum()),
        }

    def log_weights(self, x: Tensor, y: Tensor | None, samples: int, stream: torch.Generator) -> Tensor:
        """log p(x|z) + log p(z) - log q(z|x) for z drawn from q(z|x): (samples, B)."""
        mean, log_variance = self.posterior(self.ema, x, y)
        noise = torch.randn(samples, *mean.shape, generator=stream).to(mean)
        z = reparameterize(mean, log_variance, noise)  # (K, B, Z)
        log_likelihoods = []
        for chunk in torch.split(z, max(1, self.chunk_size(IWAE_CHUNK_SIZE) // len(x))):  # (k, B, Z)
            images, labels = x.repeat(len(chunk), 1, 1, 1), None if y is None else y.repeat(len(chunk))
            log_likelihood = self.log_likelihood(self.ema, images, chunk.flatten(0, 1), labels)
            log_likelihoods.append(log_likelihood.view(-1, len(x)))
        # log p(z) - log q(z|x) with ε = (z - μ) / σ: Σ (ε² + log σ² - z²) / 2, as the constants of both cancel.
        return torch.cat(log_likelihoods) + (noise.square() + log_variance - z.square()).sum(2) / 2

    def _iwae_gains(self, index: Tensor, samples: int, stream: torch.Generator) -> Tensor:
        """Importance-weighted bound minus the mean bound of the same samples, per test image: (N,)."""
        gains = []
        for chunk in torch.split(index, max(1, IWAE_CHUNK_SIZE // samples)):
            log_weights = self.log_weights(*self._on_device(chunk), samples, stream).cpu().double()
            gains.append(importance_bound(log_weights) - log_weights.mean(0))
        return torch.cat(gains)

    def _on_device(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """Test images and their labels."""
        x, y = self.test_batch(index)
        return x.to(self.device), None if y is None else y.to(self.device)


def reparameterize(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """z = μ + σ ε, differentiable in μ and log σ²."""
    return mean + (log_variance / 2).exp() * noise


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) of each dimension: (..., Z)."""
    return (mean.square() + log_variance.exp() - log_variance - 1) / 2


def importance_bound(log_weights: Tensor) -> Tensor:
    """log(1/K Σₖ wₖ): (K, B) -> (B,)."""
    return log_weights.logsumexp(0) - math.log(len(log_weights))
