"""VQ-VAE: an image as a grid of words from a learned codebook. van den Oord et al. 2017, arXiv:1711.00937.

How probable a grid is, a PixelCNN learns beside it. Words that nobody uses are moved to where something is: Dhariwal et
al. 2020, arXiv:2005.00341. Batch norm before the codebook: Łańcucki et al. 2020, arXiv:2005.08520.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.core.algorithm import Metrics
from rlgen.core.images import Grid
from rlgen.core.seeds import initial_weights, torch_stream
from rlgen.core.settings import Setup
from rlgen.generative import settings
from rlgen.generative.autoencoders.coders import Shape, halvable, three_by_three
from rlgen.generative.autoregressive.base import nll, sample_pixels
from rlgen.generative.autoregressive.masked import MaskedNetwork, ResidualStack
from rlgen.generative.base import evaluating
from rlgen.generative.ema import EMAModel
from rlgen.generative.grids import COLUMNS, ROWS, comparison_grid, interpolation_grid, sample_grid
from rlgen.generative.likelihoods import Categorical, bits_per_dim

CHUNK_SIZE = 250  # images encoded, decoded or drawn at once, to bound the memory
DEAD = 0.5  # mean number of places in a minibatch from which downwards a word is moved; 1 is what it then has


class VQVAE(EMAModel):
    """Learn words that images can be made of, and which of them stand beside each other."""

    Config = settings.VQVAE
    config: settings.VQVAE
    network: "Quantized"
    ema: "Quantized"

    def __init__(self, task: str, config: settings.VQVAE, setup: Setup) -> None:
        super().__init__(task, config, setup)
        self.prepare_data(setup)
        self.code_likelihood = Categorical(config.codebook_size)
        with initial_weights(setup.seed):
            network = Quantized(halvable(self.shape), self.predicted, config, self.num_classes)
        self.set_network(network, setup)

    def loss(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Metrics]:
        """-log p(x | e) + β |z - e|² - log p(k): z is what an image is encoded to, e its words, k their numbers.

        The first has a gradient in z as if z were e; the last teaches the prior alone.
        """
        x = self.binarise_batch(x)
        with self.autocast():
            z = self.network.encode(x)
            k = self.network.codebook.nearest(z)
            e = self.network.codebook.lookup(k)
            fit = self.fit(self.network, x, z + (e - z).detach())
            code = nll(self.code_likelihood, self.network.prior(self.levels(k), y), self.levels(k)).mean()
        commitment = (z - e).square().flatten(1).sum(1).mean()
        self.network.codebook.learn(z.detach(), k, self.noise)
        loss = self.config.commitment * commitment + code - fit.mean()
        told = {"nats": (code - fit.mean()).detach(), "code_nats": code.detach(), "commitment": commitment.detach()}
        return loss, {**told, "perplexity": perplexity(self.code_counts(k))}

    def fit(self, network: "Quantized", x: Tensor, e: Tensor) -> Tensor:
        """log p(x | e), summed over an image: (B,)."""
        return self.likelihood.log_prob(network.decode(e), x).flatten(1).sum(1)

    def levels(self, k: Tensor) -> Tensor:
        """Numbers of words (B, H, W) as the values (B, 1, H, W) of a likelihood of so many levels."""
        return k.unsqueeze(1) / (self.config.codebook_size - 1)

    def code_counts(self, k: Tensor) -> Tensor:
        """(K,): how often each word stands in some grids."""
        return k.flatten().bincount(minlength=self.config.codebook_size)

    def measure(self) -> Metrics:
        """A bound on -log p(x) of the test images, which is one of the codes that could have made x."""
        fits, codes, uses = [], [], torch.zeros(self.config.codebook_size, dtype=torch.long)
        with evaluating(self.ema):
            for index in torch.split(torch.arange(len(self.test_set)), self.chunk_size(CHUNK_SIZE)):
                x, y = self.test_batch(index)
                x, y = x.to(self.device), None if y is None else y.to(self.device)
                k = self.ema.codebook.nearest(self.ema.encode(x))
                fits.append(self.fit(self.ema, x, self.ema.codebook.lookup(k)).cpu().double())
                codes.append(
                    nll(self.code_likelihood, self.ema.prior(self.levels(k), y), self.levels(k)).cpu().double()
                )
                uses += self.code_counts(k).cpu()
        reconstruction, code = -torch.cat(fits).mean(), torch.cat(codes).mean()
        return {
            "eval_nats": reconstruction + code,
            "eval_reconstruction": reconstruction,
            "eval_code_nats": code,
            "eval_bits": bits_per_dim((reconstruction + code).item(), math.prod(self.shape)),
            "eval_perplexity": perplexity(uses),
        }

    def final(self) -> Metrics:
        """The same, and what a model that knows nothing would have."""
        return {**self.measure(), **self.uniform_baseline()}

    def encode(self, x: Tensor) -> Tensor:
        """What images (N, C, H, W) in [0, 1] are encoded to before words are looked for: (N, D, H / 4, W / 4)."""
        with evaluating(self.ema):
            parts = torch.split(x, self.chunk_size(CHUNK_SIZE))
            return torch.cat([self.ema.encode(part.to(self.device)).cpu() for part in parts])

    def decode(self, z: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] of the words nearest to z (N, D, H / 4, W / 4)."""
        codebook = self.ema.codebook
        with evaluating(self.ema):
            parts = torch.split(z, self.chunk_size(CHUNK_SIZE))
            codes = (codebook.lookup(codebook.nearest(part.to(self.device))) for part in parts)
            return torch.cat([self.likelihood.mean(self.ema.decode(e)).cpu() for e in codes])

    def reconstruct(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) through their words and back."""
        return self.decode(self.encode(x))

    def sample(self, count: int, *, seed: int = 0, labels: Tensor | None = None) -> Tensor:
        """`count` new images (N, C, H, W) in [0, 1], always the same for the same weights and `seed`.

        A conditional model takes the `labels` (N,) to make, or goes through the classes in turn.
        """
        labels, noise, parts = self.labels_for(count, labels), torch_stream(seed, "samples"), []
        height, width = (side // 4 for side in self.shape[1:])
        with evaluating(self.ema):
            for index in torch.split(torch.arange(count), self.chunk_size(CHUNK_SIZE)):
                y = None if labels is None else labels[index].to(self.device)
                blank = torch.zeros(len(index), 1, height, width, device=self.device)
                levels = sample_pixels(
                    self.ema.prior, self.code_likelihood, blank, torch.zeros_like(blank[:, 0]).bool(), y, noise
                )
                k = (levels.squeeze(1) * (self.config.codebook_size - 1)).round().long()
                out = self.ema.decode(self.ema.codebook.lookup(k))
                parts.append(self.likelihood.mean(out).cpu())
        return torch.cat(parts)

    def interpolate(self, rows: int = ROWS, columns: int = COLUMNS, *, seed: int = 0) -> Tensor:
        """(rows, columns, C, H, W): each row goes from one test image to another, by the words nearest to the way."""
        pairs = torch.randint(len(self.test_set), (2, rows), generator=torch_stream(seed, "ends of lines"))
        start, end = (self.encode(self.test_batch(index)[0]).unsqueeze(1) for index in pairs)
        z = torch.lerp(start, end, torch.linspace(0, 1, columns).view(1, -1, 1, 1, 1))
        return torch.unflatten(self.decode(z.flatten(0, 1)), 0, (rows, columns))

    def grids(self, seed: int) -> dict[str, Grid]:
        """Samples, test images and their reconstructions, and lines between what images are encoded to."""
        labels = torch.arange(self.columns).repeat(ROWS) if self.conditional else None
        x, _ = self.test_batch(torch.arange(COLUMNS * ROWS // 2) % len(self.test_set))
        return {
            "samples": sample_grid(self.sample(ROWS * self.columns, seed=seed, labels=labels), self.shown_classes),
            "reconstructions": comparison_grid("reconstructions", image=x, reconstruction=self.reconstruct(x)),
            "interpolations": interpolation_grid(self.interpolate(seed=seed)),
        }


class Quantized(nn.Module):
    """Encoder, codebook and decoder, by strided convolutions, and the prior over grids of words."""

    def __init__(self, shape: Shape, predicted: int, config: settings.VQVAE, classes: int) -> None:
        super().__init__()
        (channels, height, width), wide, features = shape, config.width, config.code_dim
        self.channels = channels
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, wide, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(wide, 2 * wide, 4, stride=2, padding=1), nn.ReLU(),
            *three_by_three(config.depth, 2 * wide), nn.Conv2d(2 * wide, features, 1),
            nn.BatchNorm2d(features, affine=False),  # what words are looked for is spread out from the start
        )  # fmt: skip
        self.codebook = Codebook(config.codebook_size, features, config.codebook_decay)
        self.decoder = nn.Sequential(
            nn.Conv2d(features, 2 * wide, 3, padding=1), nn.ReLU(), *three_by_three(config.depth, 2 * wide),
            nn.ConvTranspose2d(2 * wide, wide, 4, stride=2, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(wide, channels * predicted, 4, stride=2, padding=1),
        )  # fmt: skip
        self.prior = Prior((height // 4, width // 4), config, classes)

    def encode(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H / 4, W / 4), in float32 whatever it was computed in."""
        out: Tensor = self.encoder(x.contiguous(memory_format=torch.channels_last))
        return out.float()

    def decode(self, e: Tensor) -> Tensor:
        """(B, D, H / 4, W / 4) -> (B, C, H, W, predicted)."""
        out: Tensor = self.decoder(e.contiguous(memory_format=torch.channels_last))
        return torch.unflatten(out, 1, (self.channels, -1)).movedim(2, -1)


class Codebook(nn.Module):
    """K words of D numbers, each the moving mean of what it stood for. Nothing of it has a gradient."""

    codes: Tensor  # (K, D)
    sums: Tensor  # (K, D): moving sum of what each stood for in a minibatch
    counts: Tensor  # (K,): and at how many places

    def __init__(self, size: int, dim: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("codes", torch.randn(size, dim))
        self.register_buffer("sums", torch.zeros(size, dim))
        self.register_buffer("counts", torch.zeros(size))

    def nearest(self, z: Tensor) -> Tensor:
        """Numbers of the words nearest to what was encoded: (B, D, H, W) -> (B, H, W)."""
        with torch.no_grad(), torch.autocast(z.device.type, enabled=False):
            points = z.movedim(1, -1)  # |z - e|² but for |z|², which ranks nothing
            return (self.codes.square().sum(1) - 2 * points @ self.codes.T).argmin(-1)

    def lookup(self, k: Tensor) -> Tensor:
        """Words by their numbers: (B, H, W) -> (B, D, H, W)."""
        return F.embedding(k, self.codes).movedim(-1, 1)

    @torch.no_grad()
    def learn(self, z: Tensor, k: Tensor, stream: torch.Generator) -> None:
        """Move words (B, H, W) towards what they stood for (B, D, H, W), and idle ones to some of it, by `stream`."""
        points, ours = z.movedim(1, -1).flatten(0, 2), F.one_hot(k.flatten(), len(self.codes)).to(z)
        self.counts.lerp_(ours.sum(0), 1 - self.decay)
        self.sums.lerp_(ours.T @ points, 1 - self.decay)
        idle = self.counts < DEAD
        picked = torch.randint(len(points), (len(self.codes),), generator=stream).to(points.device)
        self.counts.masked_fill_(idle, 1)
        self.sums.copy_(torch.where(idle[:, None], points[picked], self.sums))
        self.codes.copy_(self.sums / self.counts[:, None])


class Prior(MaskedNetwork):
    """A PixelCNN over a grid of words: no order is in their numbers, so each is shown as one of many."""

    def __init__(self, grid: tuple[int, int], config: settings.VQVAE, classes: int) -> None:
        width, blocks, size = config.prior_width, config.prior_blocks, config.codebook_size
        network = settings.PixelCNN(width=width, head_width=width, blocks=blocks, levels=1, first_kernel=5)
        super().__init__((1, *grid), size, network, ResidualStack(network, 1, classes), input_channels=size)
        self.codebook_size = size

    def encode_input(self, x: Tensor) -> Tensor:
        """Values (B, 1, H, W) or (B, 1), k / (K - 1), as (B, K, H, W) or (B, K) of one 1 and otherwise 0."""
        k = (x.squeeze(1) * (self.codebook_size - 1)).round().long()
        return F.one_hot(k, self.codebook_size).movedim(-1, 1).to(x)


def perplexity(uses: Tensor) -> Tensor:
    """exp of the entropy of how often each word is used (K,): so many words, used alike, would say as much."""
    share = uses.float() / uses.sum()
    return (-torch.xlogy(share, share).sum()).exp()
