"""What holds for every model that takes one pixel after the other."""

import itertools
import re
from dataclasses import replace

import pytest
import torch

from rlgen.core.errors import UserError
from rlgen.core.seeds import torch_stream
from rlgen.core.settings import Setup
from rlgen.generative import settings
from rlgen.generative.autoregressive import base as autoregressive
from rlgen.generative.autoregressive.base import draw, nats
from rlgen.generative.autoregressive.causal import CausalConv, channel_groups, incremental_mode
from rlgen.generative.autoregressive.pixelcnn import PixelCNN
from rlgen.generative.autoregressive.pixelrnn import PixelRNN, lstm
from rlgen.generative.likelihoods import Bernoulli, Categorical, LogisticMixture

CNN, RNN = settings.PixelCNN(width=6, width_multiplier=2), settings.PixelRNN(width=6, layers=2)
FLAT = replace(CNN, levels=1, blocks=2)
CASES = {
    "masked": FLAT,
    "masked, kernel 5": replace(FLAT, kernel=5, first_kernel=3),
    "masked, bottleneck": replace(FLAT, bottleneck=True),
    "masked, three levels": replace(CNN, blocks=2),
    "gated": replace(FLAT, gated=True),
    "gated, kernel 5": replace(FLAT, gated=True, kernel=5, first_kernel=3),
    "gated, two levels": replace(CNN, gated=True, levels=2, blocks=2),
    "gated, three levels": replace(CNN, gated=True, blocks=2),
    "row": RNN,
    "diagonal": replace(RNN, scan="diagonal"),
}


def network(config, shape=(1, 5, 6), outputs=1, classes=0, dtype=torch.float64):
    """With weights of no pattern: what is at first zero or small hides nothing."""
    model = object.__new__(PixelRNN if isinstance(config, settings.PixelRNN) else PixelCNN)
    model.config, model.shape = config, shape
    torch.manual_seed(0)
    built = model.build(outputs, classes).to(dtype)
    for p in built.parameters():
        p.data += 0.15 * torch.randn_like(p)
    return built


def images(count, shape, dtype=torch.float64):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(1)).to(dtype).round()


def sensitivity(net, shape, y=None):
    """d prediction / d value for each pair of values, both in the order (row, column, colour)."""
    x = images(1, shape).requires_grad_()
    out = net(x, y)[0].permute(1, 2, 0).flatten()
    rows = [torch.autograd.grad(value, x, retain_graph=True)[0][0].permute(1, 2, 0).flatten() for value in out]
    return torch.stack(rows)


@pytest.mark.parametrize("shape", [(1, 5, 6), (3, 4, 5)])
@pytest.mark.parametrize("case", CASES)
def test_no_value_sees_itself_or_what_comes_later(case, shape):
    net = network(CASES[case], shape, classes=3).train()
    seen = sensitivity(net, shape, torch.tensor([1]))
    assert seen.triu().count_nonzero() == 0
    assert seen.count_nonzero() > 0.3 * seen.tril(-1).numel() / 2


def test_a_class_is_heard():
    for config in CASES.values():
        net = network(config, classes=3)
        one, other = (net(images(1, (1, 5, 6)), torch.tensor([label])) for label in (0, 1))
        assert (one != other).double().mean() > 0.8


@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 3, 4)])
def test_gates_miss_no_earlier_value(shape):
    net = network(replace(FLAT, gated=True, blocks=5, first_kernel=3, width=48, head_width=96), shape)
    size = torch.Size(shape).numel()
    assert torch.equal(sensitivity(net, shape) != 0, torch.ones(size, size).tril(-1).bool())


@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 3, 4)])
def test_diagonals_miss_the_last_value_of_the_row_above(shape):
    """Except where the first convolution, of side 3, sees it itself."""
    net = network(replace(RNN, scan="diagonal", first_kernel=3, width=24, head_width=48), shape)
    channels, height, width = shape
    seen = sensitivity(net, shape) != 0
    expected = torch.ones_like(seen).tril(-1)
    for i, j in itertools.product(range(1, height), range(width - 2)):
        here, row = (i * width + j) * channels, i * width * channels
        expected[here : here + channels, row - 1] = False
    assert torch.equal(seen, expected)


def test_plain_masks_miss_just_their_blind_spot():
    """A kernel of side 3 goes no further to the right than up, however many there are."""
    net = network(replace(FLAT, blocks=6, first_kernel=3), (1, 6, 6))
    seen = (sensitivity(net, (1, 6, 6)) != 0).view(6, 6, 6, 6)
    for i, j, k, m in itertools.product(range(6), repeat=4):
        assert seen[i, j, k, m] == (m < j if k == i else k < i and m - j <= i - k), (i, j, k, m)


def test_rows_miss_what_lies_outside_their_triangle():
    """The state of a pixel spreads by one a row; to the left a layer sees one more, the image's convolution another."""
    net = network(replace(RNN, layers=2, first_kernel=3, width=24, head_width=48), (1, 6, 6))
    seen = (sensitivity(net, (1, 6, 6)) != 0).view(6, 6, 6, 6)
    for i, j, k, m in itertools.product(range(6), repeat=4):
        up, right = i - k, m - j
        assert seen[i, j, k, m] == (up >= 0 and -up - 3 <= right <= up and (right < 0 or up > 0)), (i, j, k, m)


@pytest.mark.parametrize("case", CASES)
def test_the_probabilities_of_all_images_of_nine_pixels_sum_to_1(case):
    x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=9)), dtype=torch.float64).view(512, 1, 3, 3)
    net = network(CASES[case], (1, 3, 3), classes=2)
    with torch.no_grad():
        out = net(x, torch.ones(512, dtype=torch.long))
    log_prob = Bernoulli().log_prob(out.unsqueeze(-1), x).flatten(1).sum(1)
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-9)
    assert log_prob.exp().max() < 0.9


@pytest.mark.parametrize("case", ["masked", "gated", "row", "diagonal"])
def test_the_probabilities_of_all_images_of_two_colours_sum_to_1(case):
    """Each colour is predicted by numbers of its own, one after the other."""
    x = torch.tensor(list(itertools.product([0.0, 0.5, 1.0], repeat=4)), dtype=torch.float64).view(81, 2, 1, 2)
    with torch.no_grad():
        out = network(CASES[case], (2, 1, 2), outputs=3)(x)
    assert (-nats(Categorical(3), out, x)).exp().sum().item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 7, 5), (3, 4, 5)])
@pytest.mark.parametrize("case", CASES)
def test_one_pixel_at_a_time_gives_the_same_predictions(case, shape, dtype):
    net, x, y = network(CASES[case], shape, 2, 2, dtype), images(3, shape, dtype), torch.tensor([0, 1, 1])
    expected, got = net(x, y).detach(), torch.empty(3, 2 * shape[0], *shape[1:], dtype=dtype)
    for _ in range(2):  # nothing is left over from the first time
        with incremental_mode(net, *shape[1:]) as cache:
            for cache.row in range(shape[1]):
                cache.column = 0
                net.begin_row(x, y)
                for cache.column in range(shape[2]):
                    got[..., cache.row, cache.column] = net(x[..., cache.row, cache.column], y)
                    net.remember(x[..., cache.row, cache.column])
        tolerance = 1e-5 if dtype == torch.float32 else 1e-10
        torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)
    assert torch.equal(net(x, y), expected)


def naive(net, likelihood, x, known, noise):
    """What `draw` does, by a pass over the whole image for each value."""
    batch, channels, height, width = x.shape
    x = x.clone()
    for i, j, c in itertools.product(range(height), range(width), range(channels)):
        with torch.no_grad():
            out = net(x).unflatten(1, (channels, -1))[:, c, :, i, j]
        value = likelihood.sample(out, torch.rand(batch, generator=noise, dtype=x.dtype))
        x[:, c, i, j] = torch.where(known[:, i, j], x[:, c, i, j], value)
    return x


@pytest.mark.parametrize(
    ("likelihood", "shape"), [(Bernoulli(), (1, 6, 5)), (LogisticMixture(2), (3, 3, 4)), (Categorical(4), (2, 3, 3))]
)
@pytest.mark.parametrize("case", ["masked, three levels", "gated, two levels", "row", "diagonal"])
def test_the_same_noise_gives_the_same_images_as_the_naive_way(case, likelihood, shape):
    net, x = network(CASES[case], shape, likelihood.width), images(4, shape)
    known = torch.zeros(4, *shape[1:], dtype=torch.bool)
    known[2, 0] = known[3, :, 0] = True  # two are to be completed
    drawn, expected = (
        way(net, likelihood, x, known, *rest)
        for way, rest in ((draw, (None, torch_stream(0, "noise"))), (naive, (torch_stream(0, "noise"),)))
    )
    assert torch.equal(drawn, expected)
    where = known.unsqueeze(1).expand_as(x)
    assert torch.equal(drawn[where], x[where])
    assert len(drawn[0].unique()) > 1


def test_samples_have_the_probability_that_is_claimed():
    net = network(FLAT, (1, 2, 2))
    x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)), dtype=torch.float64).view(16, 1, 2, 2)
    with torch.no_grad():
        expected = Bernoulli().log_prob(net(x).unsqueeze(-1), x).flatten(1).sum(1).exp()
    count = 20_000
    start = torch.zeros(count, 1, 2, 2, dtype=torch.float64)
    known = torch.zeros(count, 2, 2, dtype=torch.bool)
    drawn = draw(net, Bernoulli(), start, known, None, torch_stream(0, "noise")).flatten(1)
    which = (drawn * torch.tensor([8.0, 4.0, 2.0, 1.0])).sum(1).long()
    found = torch.bincount(which, minlength=16)
    assert ((found - count * expected).square() / (count * expected)).sum() < 37.7  # 99.9 % of chi-squared of 15


def test_hidden_taps_have_no_gradient_and_no_moments():
    torch.manual_seed(0)
    conv = CausalConv(channel_groups(6, 3), channel_groups(6, 3), 3, kind="A")
    optimizer = torch.optim.Adam(conv.parameters(), 0.1, weight_decay=0.1)
    conv(torch.randn(2, 6, 4, 4)).square().sum().backward()
    optimizer.step()
    hidden = conv.mask == 0
    assert 0 < hidden.sum() < hidden.numel()
    for numbers in (conv.weight, conv.weight.grad, optimizer.state[conv.weight]["exp_avg"]):
        assert numbers[hidden].count_nonzero() == 0
    assert conv.weight.grad[~hidden].count_nonzero() == (~hidden).sum()


@pytest.mark.parametrize("config", [
    settings.PixelCNN(levels=1, blocks=15), settings.PixelCNN(), settings.PixelRNN(layers=7),
    settings.PixelRNN(layers=7, scan="diagonal"),
])  # fmt: skip
def test_depth_does_not_blow_up_what_is_said(config):
    torch.manual_seed(0)
    model = object.__new__(PixelRNN if isinstance(config, settings.PixelRNN) else PixelCNN)
    model.config, model.shape = config, (1, 28, 28)
    net = model.build(1, 0)
    told = []
    net.body.register_forward_hook(lambda body, x, out: told.extend([x[0].std(), out.std()]))
    net((torch.rand(4, 1, 28, 28) < 0.2).float())
    assert 0.3 < told[1] / told[0] < 3


@pytest.mark.parametrize("case", ["masked", "gated", "row", "diagonal"])
def test_a_layer_that_says_nothing_changes_nothing(case):
    """What goes around it is added once."""
    net = network(CASES[case])
    for name, p in net.named_parameters():
        if re.search(r"body.*(widen|out)\.(weight|bias)$|position_bias$", name):
            p.data.zero_()
    told = []
    see = net.input_conv_left if case == "gated" else net.input_conv
    see.register_forward_hook(lambda part, x, out: told.append(out))
    net.head.register_forward_pre_hook(lambda part, x: told.append(x[0]))
    net(images(2, (1, 5, 6)))
    torch.testing.assert_close(told[1], told[0])


def test_the_memory_of_a_pixel_is_that_of_the_textbook():
    torch.manual_seed(0)
    cell = torch.nn.LSTMCell(3, 5)
    x, h, c = torch.randn(4, 3), torch.randn(4, 5), torch.randn(4, 5)
    expected = cell(x, (h, c))
    gates = x @ cell.weight_ih.T + h @ cell.weight_hh.T + cell.bias_ih + cell.bias_hh
    let_in, kept, new, told = gates.chunk(4, 1)  # in the order of PyTorch
    torch.testing.assert_close(lstm(torch.cat([let_in, kept, told, new], 1), c), expected)


def model(likelihood="bernoulli", task="digits", seed=0, **given):
    small = {
        "width": 4,
        "width_multiplier": 2,
        "levels": 2,
        "blocks": 2,
        "first_kernel": 3,
        "head_width": 8,
        "components": 2,
    }
    return PixelCNN(task, settings.PixelCNN(likelihood=likelihood, **small, **given), Setup(seed=seed, threads=1))


def test_the_network_of_the_paper_has_the_parameters_that_are_told_of_it():
    given = {"levels": 1, "blocks": 15, "width": 32, "bottleneck": True, "position_bias": False, "head_width": 32}
    paper = PixelCNN("digits", settings.PixelCNN(**given), Setup(threads=1))
    convolutions = [m for m in paper.network.modules() if isinstance(m, CausalConv)]
    sides = [m.weight.shape[3] for m in convolutions]
    taps = [m.weight.shape[0] * m.weight.shape[1] * side**2 for m, side in zip(convolutions, sides, strict=True)]
    assert sum(taps) + sum(len(m.bias) for m in convolutions) == 53_569  # half of its taps hidden
    assert paper.parameter_count() == 37_409


def test_numbers_are_named_by_their_protocol_and_compared_to_knowing_nothing():
    for likelihood, binarise, protocol, bits in (
        ("bernoulli", "dynamic", "dynamic", 1.0),
        ("bernoulli", "static", "static", 1.0),
        ("mixture", "dynamic", "8-bit", 8.0),
    ):
        it = model(likelihood, binarise=binarise)
        assert it.protocol == protocol
        told = it.final()
        assert told["uniform_bits"] == pytest.approx(bits)
        assert told["eval_bits"] == pytest.approx(told["eval_nats"].item() / 64 / 0.6931472, rel=1e-5)
        assert it.final()["eval_nats"] == told["eval_nats"]  # measuring twice tells the same


def test_images_at_once_make_no_difference(monkeypatch):
    it = model("mixture")
    told = it.evaluate()["eval_nats"]
    monkeypatch.setattr(autoregressive, "CHUNK_SIZE", 37)  # the last of 299 are three
    assert it.evaluate()["eval_nats"].item() == pytest.approx(told.item(), abs=1e-4)


def test_samples_are_judged_beside_what_they_could_be():
    """Black and white ones beside images made so, greys beside greys."""
    assert set(model().real("train").images.unique().tolist()) == {0, 255}
    assert torch.equal(model().real("test").images, model().test_set.images)
    assert len(model("mixture").real("test").images.unique()) > 10


def test_static_images_stay_and_dynamic_ones_change():
    for binarise, same in (("static", True), ("dynamic", False)):
        it = model(binarise=binarise)
        seen = []
        it.network.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0]))
        x, y = it.data.next()
        it.update(x, y)
        it.update(x, y)
        assert torch.equal(*seen) == same
        assert set(seen[0].unique().tolist()) == {0, 1}


def test_completing_keeps_what_is_known():
    it = model(conditional=True)
    x, known = images(6, (1, 8, 8), torch.float32), torch.zeros(8, 8, dtype=torch.bool)
    known[:4] = True
    completed = it.complete(x, known, seed=3)
    assert torch.equal(completed[:, :, :4], x[:, :, :4])
    assert not torch.equal(completed[:, :, 4:], x[:, :, 4:])
    assert torch.equal(completed, it.complete(x, known, seed=3))
    assert not torch.equal(completed, it.complete(x, known, seed=4))


def test_what_cannot_be_drawn_is_told():
    it, conditional = model(), model(conditional=True)
    with pytest.raises(UserError, match="cannot be completed: it learned"):
        it.complete(torch.zeros(1, 1, 28, 28), torch.zeros(28, 28, dtype=torch.bool))
    with pytest.raises(UserError, match="one flag a pixel"):
        it.complete(torch.zeros(1, 1, 8, 8), torch.zeros(8, dtype=torch.bool))
    with pytest.raises(UserError, match="without --conditional"):
        it.sample(1, labels=torch.tensor([0]))
    with pytest.raises(UserError, match="labels of 0 to 9"):
        conditional.sample(1, labels=torch.tensor([10]))
    with pytest.raises(UserError, match="grey levels"):
        model(binarise="none")
    with pytest.raises(UserError, match="--bottleneck"):
        settings.PixelCNN(gated=True, bottleneck=True).check(set())


def test_it_learns():
    it = model("bernoulli", lr=0.01, batch=64)
    before = it.evaluate()["eval_nats"]
    for _ in range(60):
        it.step()
    assert it.evaluate()["eval_nats"] < before - 8
