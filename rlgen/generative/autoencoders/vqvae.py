"""VQ-VAE: images as grids of discrete codes from a learned codebook. van den Oord et al. 2017, arXiv:1711.00937.

The prior over grids is a PixelCNN trained at the same time. Batch norm before the codebook: Łańcucki et al. 2020,
arXiv:2005.08520.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.core import processes
from rlgen.core.algorithm import Metrics
from rlgen.core.images import Grid
from rlgen.core.layers import BatchNorm2d
from rlgen.core.seeds import initial_weights, torch_stream
from rlgen.core.settings import Setup
from rlgen.generative import settings
from rlgen.generative.autoencoders.codebook import Codebook, perplexity
from rlgen.generative.autoencoders.coders import Shape, conv3x3, halvable
from rlgen.generative.autoregressive.base import nll
from rlgen.generative.autoregressive.masked import MaskedNetwork, ResidualStack
from rlgen.generative.autoregressive.sampler import sample_pixels
from rlgen.generative.base import evaluating
from rlgen.generative.ema import EMAModel
from rlgen.generative.grids import COLUMNS, ROWS, comparison_grid, interpolation_grid, sample_grid
from rlgen.generative.likelihoods import Categorical, bits_per_dim

CHUNK_SIZE = 250  # images encoded, decoded or sampled at once, to bound the memory


class VQVAE(EMAModel):
    """Encoder, codebook, decoder p(x|e) and a prior p(k) over grids of code indices, trained together."""

    Config = settings.VQVAE
    config: settings.VQVAE
    network: "QuantizedNetwork"
    ema: "QuantizedNetwork"

    def __init__(self, task: str, config: settings.VQVAE, setup: Setup) -> None:
        super().__init__(task, config, setup)
        self.prepare_data(setup)
        self.code_likelihood = Categorical(config.codebook_size)
        with initial_weights(setup.seed):
            network = QuantizedNetwork(halvable(self.shape), self.outputs, config, self.num_classes)
        self.set_network(network, setup)

    def networks(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """The encoder with an image, the decoder with codes, the prior with levels of code indices."""
        _, height, width = self.shape
        side = height // 4, width // 4
        network = self.network
        return {
            "encoder": (network.encoder, (torch.zeros(1, *self.shape),)),
            "decoder": (network.decoder, (torch.zeros(1, self.config.code_dim, *side),)),
            "prior": (network.prior, self.example(1, *side)),
        }

    def loss(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Metrics]:
        """-log p(x|e) + β |z - e|² - log p(k), nats per image, with encoder outputs z, codes e of indices k.

        The first term has its gradient in z as if z were e (straight-through); the last trains the prior alone.
        """
        x = self.binarise_batch(x)
        with self.autocast():
            z = self.network.encode(x)
            k = self.network.codebook.nearest(z)
            e = self.network.codebook.lookup(k)
            log_likelihood = self.log_likelihood(self.network, x, z + (e - z).detach())
            code_nats = nll(self.code_likelihood, self.network.prior(self.levels(k), y), self.levels(k)).mean()
        commitment = (z - e).square().flatten(1).sum(1).mean()
        self.network.codebook.update(z.detach(), k, self.noise)
        nats = code_nats - log_likelihood.mean()
        loss = self.config.commitment * commitment + nats
        metrics = {"nats": nats.detach(), "code_nats": code_nats.detach(), "commitment": commitment.detach()}
        return loss, {**metrics, "perplexity": perplexity(processes.added(self.code_counts(k)))}

    def log_likelihood(self, network: "QuantizedNetwork", x: Tensor, e: Tensor) -> Tensor:
        """log p(x|e), summed over an image: (B,)."""
        return self.likelihood.log_prob(network.decode(e), x).flatten(1).sum(1)

    def levels(self, k: Tensor) -> Tensor:
        """Code indices (B, H, W) as values (B, 1, H, W) in [0, 1], as a likelihood takes them."""
        return k.unsqueeze(1) / (self.config.codebook_size - 1)

    def code_counts(self, k: Tensor) -> Tensor:
        """(K,): the number of uses of each code in grids (B, H, W)."""
        return k.flatten().bincount(minlength=self.config.codebook_size)

    def measure(self) -> Metrics:
        """A bound on -log p(x) of the test images in nats: p(x) ≥ p(x|e) p(k) for the codes of the encoder."""
        log_likelihoods, code_nats, counts = [], [], torch.zeros(self.config.codebook_size, dtype=torch.long)
        with evaluating(self.ema):
            for index in torch.split(torch.arange(len(self.test_set)), self.chunk_size(CHUNK_SIZE)):
                x, y = self.test_batch(index)
                x, y = x.to(self.device), None if y is None else y.to(self.device)
                k = self.ema.codebook.nearest(self.ema.encode(x))
                log_likelihoods.append(self.log_likelihood(self.ema, x, self.ema.codebook.lookup(k)).cpu().double())
                out = self.ema.prior(self.levels(k), y)
                code_nats.append(nll(self.code_likelihood, out, self.levels(k)).cpu().double())
                counts += self.code_counts(k).cpu()
        reconstruction, code = -torch.cat(log_likelihoods).mean(), torch.cat(code_nats).mean()
        return {
            "eval_nats": reconstruction + code,
            "eval_reconstruction": reconstruction,
            "eval_code_nats": code,
            "eval_bits": bits_per_dim((reconstruction + code).item(), math.prod(self.shape)),
            "eval_perplexity": perplexity(counts),
        }

    def final(self) -> Metrics:
        """`measure`, and the nats and bits of a uniform distribution for comparison."""
        return {**self.measure(), **self.uniform_baseline()}

    def encode(self, x: Tensor) -> Tensor:
        """Encoder outputs of images (N, C, H, W) in [0, 1], before quantisation: (N, D, H / 4, W / 4) on the CPU."""
        with evaluating(self.ema):
            chunks = torch.split(x, self.chunk_size(CHUNK_SIZE))
            return torch.cat([self.ema.encode(chunk.to(self.device)).cpu() for chunk in chunks])

    def decode(self, z: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] of the codes nearest to z (N, D, H / 4, W / 4), on the CPU."""
        codebook = self.ema.codebook
        with evaluating(self.ema):
            chunks = torch.split(z, self.chunk_size(CHUNK_SIZE))
            codes = (codebook.lookup(codebook.nearest(chunk.to(self.device))) for chunk in chunks)
            return torch.cat([self.likelihood.mean(self.ema.decode(e)).cpu() for e in codes])

    def indices(self, x: Tensor) -> Tensor:
        """Codes of images (N, C, H, W) in [0, 1]: (N, H / 4, W / 4) indices into the codebook, on the CPU."""
        with evaluating(self.ema):
            chunks = torch.split(x, self.chunk_size(CHUNK_SIZE))
            return torch.cat(
                [self.ema.codebook.nearest(self.ema.encode(part.to(self.device))).cpu() for part in chunks]
            )

    def decode_indices(self, k: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] of codes by their indices (N, H / 4, W / 4), on the CPU."""
        with evaluating(self.ema):
            chunks = torch.split(k, self.chunk_size(CHUNK_SIZE))
            codes = (self.ema.codebook.lookup(part.to(self.device)) for part in chunks)
            return torch.cat([self.likelihood.mean(self.ema.decode(e)).cpu() for e in codes])

    def reconstruct(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W), encoded, quantised and decoded."""
        return self.decode(self.encode(x))

    def draw_samples(self, count: int, labels: Tensor | None, seed: int) -> Tensor:
        """Images of grids sampled from the prior: (count, C, H, W) in [0, 1] on the CPU."""
        noise, images = torch_stream(seed, "samples"), []
        height, width = (side // 4 for side in self.shape[1:])
        with evaluating(self.ema):
            for index in torch.split(torch.arange(count), self.chunk_size(CHUNK_SIZE)):
                y = None if labels is None else labels[index].to(self.device)
                blank = torch.zeros(len(index), 1, height, width, device=self.device)
                known = torch.zeros_like(blank[:, 0]).bool()
                levels = sample_pixels(self.ema.prior, self.code_likelihood, blank, known, y, noise)
                k = (levels.squeeze(1) * (self.config.codebook_size - 1)).round().long()
                out = self.ema.decode(self.ema.codebook.lookup(k))
                images.append(self.likelihood.mean(out).cpu())
        return torch.cat(images)

    def interpolate(self, rows: int = ROWS, columns: int = COLUMNS, *, seed: int = 0) -> Tensor:
        """(rows, columns, C, H, W): in each row points on a line between encoder outputs of two test images."""
        pairs = torch.randint(len(self.test_set), (2, rows), generator=torch_stream(seed, "ends of lines"))
        start, end = (self.encode(self.test_batch(index)[0]).unsqueeze(1) for index in pairs)
        z = torch.lerp(start, end, torch.linspace(0, 1, columns).view(1, -1, 1, 1, 1))
        return torch.unflatten(self.decode(z.flatten(0, 1)), 0, (rows, columns))

    def grids(self, seed: int) -> dict[str, Grid]:
        """Samples, with a column per class for a conditional model; reconstructions; interpolations."""
        labels = torch.arange(self.columns).repeat(ROWS) if self.conditional else None
        x, _ = self.test_batch(torch.arange(COLUMNS * ROWS // 2) % len(self.test_set))
        return {
            "samples": sample_grid(self.sample(ROWS * self.columns, seed=seed, labels=labels), self.shown_classes),
            "reconstructions": comparison_grid("reconstructions", image=x, reconstruction=self.reconstruct(x)),
            "interpolations": interpolation_grid(self.interpolate(seed=seed)),
        }


class QuantizedNetwork(nn.Module):
    """Convolutional encoder and decoder with a codebook between them, and the prior over grids of code indices."""

    def __init__(self, shape: Shape, outputs: int, config: settings.VQVAE, classes: int) -> None:
        super().__init__()
        (channels, height, width), wide, dim = shape, config.width, config.code_dim
        self.channels = channels
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, wide, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(wide, 2 * wide, 4, stride=2, padding=1), nn.ReLU(),
            *conv3x3(config.depth, 2 * wide), nn.Conv2d(2 * wide, dim, 1),
            BatchNorm2d(dim, affine=False),  # outputs of unit variance reach all codes from the first step on
        )  # fmt: skip
        self.codebook = Codebook(config.codebook_size, dim, config.codebook_decay)
        self.decoder = nn.Sequential(
            nn.Conv2d(dim, 2 * wide, 3, padding=1), nn.ReLU(), *conv3x3(config.depth, 2 * wide),
            nn.ConvTranspose2d(2 * wide, wide, 4, stride=2, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(wide, channels * outputs, 4, stride=2, padding=1),
        )  # fmt: skip
        self.prior = Prior((height // 4, width // 4), config, classes)

    def encode(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H / 4, W / 4) in float32, also under autocast."""
        out: Tensor = self.encoder(x.contiguous(memory_format=torch.channels_last))
        return out.float()

    def decode(self, e: Tensor) -> Tensor:
        """(B, D, H / 4, W / 4) -> (B, C, H, W, outputs)."""
        out: Tensor = self.decoder(e.contiguous(memory_format=torch.channels_last))
        return torch.unflatten(out, 1, (self.channels, -1)).movedim(2, -1)


class Prior(MaskedNetwork):
    """A PixelCNN over a grid of code indices, one-hot in its input because their order has no meaning."""

    def __init__(self, grid: tuple[int, int], config: settings.VQVAE, classes: int) -> None:
        width, blocks, size = config.prior_width, config.prior_blocks, config.codebook_size
        network = settings.PixelCNN(width=width, head_width=width, blocks=blocks, levels=1, first_kernel=5)
        super().__init__((1, *grid), size, network, ResidualStack(network, 1, classes), input_channels=size)
        self.codebook_size = size

    def encode_input(self, x: Tensor) -> Tensor:
        """Values k / (K - 1), (B, 1, H, W) or (B, 1), one-hot: (B, K, H, W) or (B, K)."""
        k = (x.squeeze(1) * (self.codebook_size - 1)).round().long()
        return F.one_hot(k, self.codebook_size).movedim(-1, 1).to(x)
