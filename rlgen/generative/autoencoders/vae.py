"""The variational autoencoder. Kingma & Welling 2014, arXiv:1312.6114; Rezende et al. 2014, arXiv:1401.4082.

β: Higgins et al. 2017. KL warm-up: Bowman et al. 2016, arXiv:1511.06349. Free bits: Kingma et al. 2016,
arXiv:1606.04934. Importance-weighted bound and active units: Burda et al. 2016, arXiv:1509.00519. Conditional: Sohn et
al. 2015.
"""

import math

import torch
from torch import Tensor

from rlgen.core.algorithm import Metrics
from rlgen.core.schedule import linear
from rlgen.core.seeds import derive, torch_stream
from rlgen.core.settings import Setup
from rlgen.generative import settings
from rlgen.generative.autoencoders.coders import EncoderDecoder
from rlgen.generative.autoencoders.latent import CHUNK_SIZE, Latent
from rlgen.generative.base import evaluating
from rlgen.generative.likelihoods import bits_per_dim

PROGRESS = 50  # samples of a code in the bound that is told while training ...
THOROUGH = 500  # ... and at its end
PART = 1_000  # test images that tell how much more than one sample gives
DECODED = 5_000  # images decoded at once, to bound the memory
ACTIVE = 0.01  # variance over images from which on a number of the code says something of them
LOG_VARIANCE = 10.0  # at most, and at least its negative: whatever the encoder says stays finite


class VAE(Latent):
    """Learn to make images from a code whose distribution is known, by maximising a bound on their likelihood."""

    Config = settings.VAE
    config: settings.VAE

    def __init__(self, task: str, config: settings.VAE, setup: Setup) -> None:
        super().__init__(task, config, setup)
        self.prepare_data(setup)
        self.build(setup, 2 * config.latent)

    def loss(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Metrics]:
        """-log p(x | z) + β KL(q(z | x) ‖ p(z)) for one z drawn from q(z | x), nats of an image.

        Of each number of z the mean divergence counts as the free bits at least.
        """
        x = self.binarise_batch(x)
        with self.autocast():
            mean, log_variance = self.posterior(self.network, x, y)
            z = reparameterize(mean, log_variance, torch.randn(mean.shape, generator=self.noise).to(mean))
            fit = self.log_likelihood(self.network, x, z, y)
        kl = kl_divergence(mean, log_variance)  # (B, Z)
        charged = kl.mean(0).clamp(min=self.config.free_bits).sum()  # a number that says less costs as much
        loss = self.beta() * charged - fit.mean()
        distance = kl.detach().sum(1).mean()
        return loss, {"nats": distance - fit.detach().mean(), "kl": distance, "beta": self.beta()}

    def beta(self) -> float:
        """The weight of the KL divergence, which may rise from 0 while the decoder learns to use the code."""
        return linear(0, self.config.beta, self.config.kl_warmup, self.time)

    def posterior(self, network: EncoderDecoder, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x): (B, C, H, W), (B,) -> twice (B, Z)."""
        mean, log_variance = network.encode(x, y).chunk(2, 1)
        return mean, log_variance.clamp(-LOG_VARIANCE, LOG_VARIANCE)

    def log_likelihood(self, network: EncoderDecoder, x: Tensor, z: Tensor, y: Tensor | None) -> Tensor:
        """log p(x | z), summed over an image: (B,)."""
        return self.likelihood.log_prob(network.decode(z, y), x).flatten(1).sum(1)

    def latent_code(self, network: EncoderDecoder, x: Tensor, y: Tensor | None) -> Tensor:
        """The mean of q(z | x): (B, Z)."""
        return self.posterior(network, x, y)[0]

    def decoded_mean(self, network: EncoderDecoder, z: Tensor, y: Tensor | None) -> Tensor:
        """The mean of p(x | z): no noise of single pixels is drawn."""
        return self.likelihood.mean(network.decode(z, y))

    def prior(self) -> tuple[Tensor, Tensor]:
        """p(z) = N(0, 1)."""
        return torch.zeros(self.config.latent), torch.eye(self.config.latent)

    def measure(self) -> Metrics:
        """Bounds on -log p(x) of the test images, whatever β was in training, with z drawn."""
        return self.bounds(PROGRESS, PART)

    def final(self) -> Metrics:
        """The bounds again, measured longer, and what a model that knows nothing would have."""
        return {**self.bounds(THOROUGH, PART), **self.uniform_baseline()}

    def bounds(self, samples: int, part: int | None = None) -> Metrics:
        """-ELBO at β = 1 and its two parts, nats of a test image; the importance-weighted bound; active units.

        -ELBO is measured on all test images. How much lower the importance-weighted bound of `samples` is than the mean
        bound of the same samples, is measured on `part` of them, spread evenly: that varies little between images.
        """
        stream = torch_stream(derive(self.seed, "evaluation"), "z")
        everyone = torch.arange(len(self.test_set))
        fits, kls, means = [], [], []
        with evaluating(self.ema):
            for index in torch.split(everyone, self.chunk_size(CHUNK_SIZE)):
                x, y = self._seen(index)
                mean, log_variance = self.posterior(self.ema, x, y)
                z = reparameterize(mean, log_variance, torch.randn(mean.shape, generator=stream).to(mean))
                fits.append(self.log_likelihood(self.ema, x, z, y).cpu().double())
                kls.append(kl_divergence(mean, log_variance).sum(1).cpu().double())
                means.append(mean.cpu())
            fit, kl = torch.cat(fits), torch.cat(kls)
            some = everyone[:: max(1, len(everyone) // (part or len(everyone)))]
            gain = self._gains(some, samples, stream).mean()
        nats = (kl - fit).mean()
        return {
            "eval_nats": nats,
            "eval_reconstruction": -fit.mean(),
            "eval_kl": kl.mean(),
            f"eval_iwae_{samples}": nats - gain,
            "eval_bits": bits_per_dim(nats.item(), math.prod(self.shape)),
            "eval_active_units": float((torch.cat(means).var(0) > ACTIVE).sum()),
        }

    def log_weights(self, x: Tensor, y: Tensor | None, samples: int, stream: torch.Generator) -> Tensor:
        """log p(x | z) + log p(z) - log q(z | x) for z drawn from q(z | x): (samples, B)."""
        mean, log_variance = self.posterior(self.ema, x, y)
        noise = torch.randn(samples, *mean.shape, generator=stream).to(mean)
        z = reparameterize(mean, log_variance, noise)  # (K, B, Z)
        fits = []
        for few in torch.split(z, max(1, self.chunk_size(DECODED) // len(x))):
            many, labels = x.repeat(len(few), 1, 1, 1), None if y is None else y.repeat(len(few))
            fits.append(self.log_likelihood(self.ema, many, few.flatten(0, 1), labels).view(-1, len(x)))
        # Of the two Gaussian densities the constants cancel.
        return torch.cat(fits) + (noise.square() + log_variance - z.square()).sum(2) / 2

    def _gains(self, index: Tensor, samples: int, stream: torch.Generator) -> Tensor:
        """How much tighter the importance-weighted bound of test images is than that of one sample: (N,)."""
        gains = []
        for few in torch.split(index, max(1, DECODED // samples)):
            log_weights = self.log_weights(*self._seen(few), samples, stream).cpu().double()
            gains.append(importance_bound(log_weights) - log_weights.mean(0))
        return torch.cat(gains)

    def _seen(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """Test images and labels, on the device."""
        x, y = self.test_batch(index)
        return x.to(self.device), None if y is None else y.to(self.device)


def reparameterize(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """z = μ + σ ε, through which gradients reach μ and σ."""
    return mean + (log_variance / 2).exp() * noise


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) of each number: (..., Z)."""
    return (mean.square() + log_variance.exp() - log_variance - 1) / 2


def importance_bound(log_weights: Tensor) -> Tensor:
    """log(1/K Σ w): (K, B) -> (B,)."""
    return log_weights.logsumexp(0) - math.log(len(log_weights))
