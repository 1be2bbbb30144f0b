"""Stacks of classifiers of digits: what they are fitted on, what they refuse, how they are saved."""

import signal

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rlgen import session
from rlgen.cli.stack import prepare
from rlgen.core import checkpoint
from rlgen.core.errors import Interrupted, UserError
from rlgen.core.fit import fit
from rlgen.core.folder import Folder
from rlgen.supervised.stack import PENALTIES, Combination, best_penalty

SMALL = {"budget": 1_500, "lr_steps": 1_500, "batch": 100, "eval_every": 1_500, "threads": 1}
LINEAR = {**SMALL, "network": "linear", "lr": 0.01}
RUNS = {
    "one": ("classify", {**LINEAR, "validation": 0.3}),
    "two": ("classify", {**SMALL, "network": "mlp", "width": 0.1, "validation": 0.3, "seed": 1}),
    "other split": ("classify", {**LINEAR, "validation": 0.2}),
    "no split": ("classify", {**LINEAR, "validation": 0.0}),
    "large": ("classify", {**LINEAR, "size": 12}),
    "folds": ("classify", {**LINEAR, "folds": 3}),
    "knn": ("knn", {"budget": 1_600, "metric": "l2", "max_k": 3, "threads": 1}),
}


def train(prepared):
    with prepared.run as run:
        fit(prepared.algorithm, run, prepared.plan)
    return Folder(run.directory)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A trained run of every kind."""
    folder = tmp_path_factory.mktemp("runs")
    for name, (algorithm, options) in RUNS.items():
        train(session.prepare(algorithm, "digits", options, runs=folder, name=name))
    return folder


def stacked(runs, *names, to, weight_decay=None):
    return prepare([Folder(runs / name) for name in names], weight_decay, to, "stack")


def test_the_fit_is_on_images_that_no_member_was_trained_on(runs, tmp_path):
    """Trap: stacking on training predictions."""
    stack = stacked(runs, "one", "two", to=tmp_path).algorithm
    one, two = stack.members.classifiers.values()
    trained = {image.tobytes() for member in (one, two) for image in member.train_set.images.numpy()}
    assert not trained & {image.tobytes() for image in stack.fitted.images.numpy()}
    assert len(stack.index) == len(one.validation_set) > 300
    expected = torch.cat([m.logits(stack.fitted.images)[0].log_softmax(1) for m in (one, two)], 1)
    torch.testing.assert_close(stack.inputs(), expected.double().clamp(min=-15), rtol=1e-4, atol=1e-4)


def test_folds_and_neighbours_are_stacked_on_out_of_fold_predictions(runs, tmp_path):
    stack = stacked(runs, "folds", "knn", to=tmp_path).algorithm
    assert len(stack.index) == 1_498
    folds, knn = stack.members.classifiers.values()
    torch.testing.assert_close(stack.inputs()[:, :10], folds.unseen_scores(stack.index).double(), rtol=0, atol=1e-6)
    seen = knn.logits(stack.fitted.images[:200])[0].double()  # with the image itself among the neighbours
    assert (stack.inputs()[:200, 10:] - seen).abs().max() > 0.1
    mixed = stacked(runs, "folds", "one", to=tmp_path / "mixed").algorithm
    assert torch.equal(mixed.index, mixed.members.classifiers["one"].held_out.nonzero().squeeze(1))


def test_the_combination_begins_with_the_mean_and_is_fitted_to_the_minimum(runs, tmp_path):
    prepared = stacked(runs, "one", "two", to=tmp_path, weight_decay=0.1)
    stack = prepared.algorithm
    x, labels = stack.inputs(), stack.labels
    torch.testing.assert_close(stack.combination(x), (x[:, :10] + x[:, 10:]) / 2)
    before = F.cross_entropy(stack.combination(x), labels).item()
    train(prepared)
    assert stack.finished
    assert stack.time % len(stack.index) == 0
    loss = F.cross_entropy(stack.combination(x), labels) + 0.05 * stack.combination.change.square().sum()
    assert loss.item() < before
    slopes = torch.autograd.grad(loss, list(stack.combination.parameters()))
    assert max(slope.abs().max() for slope in slopes) < 1e-4


@pytest.mark.slow
def test_a_stack_predicts_and_is_reported_beside_its_members(runs, tmp_path):
    folder = train(stacked(runs, "one", "two", to=tmp_path))
    stack = session.restore(folder)
    images, labels = stack.test_set.images, stack.test_set.labels
    probabilities = stack.predict(images)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    found = stack.report(0, 0).values
    assert found["accuracy"] == pytest.approx((probabilities.argmax(1) == labels.numpy()).mean())
    for name in ("one", "two"):
        member = session.restore(Folder(runs / name))
        right = (member.predict(images).argmax(1) == labels.numpy()).mean()
        assert found["members"][name]["accuracy"] == pytest.approx(right)
    low, high = found["ci95"]
    assert low < found["accuracy"] < high
    assert found["weight_decay"] == stack.penalty in PENALTIES
    assert stack.score is None


@pytest.mark.slow
def test_a_stack_holds_its_members(runs, tmp_path):
    folder = train(stacked(runs, "one", "two", to=tmp_path))
    stack = session.restore(folder)
    original = session.restore(Folder(runs / "two"))
    member = stack.members.classifiers["two"]
    assert member.config == original.config
    for a, b in zip(member.ema.parameters(), original.ema.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.slow
def test_a_stack_that_is_stopped_and_resumed_is_the_same(runs, tmp_path):
    straight = train(stacked(runs, "one", "folds", to=tmp_path / "straight"))
    prepared = stacked(runs, "one", "folds", to=tmp_path / "stopped")
    step = prepared.algorithm.step

    def interrupted():
        metrics = step()
        if prepared.algorithm.time == 3 * len(prepared.algorithm.index):
            signal.raise_signal(signal.SIGTERM)
        return metrics

    prepared.algorithm.step = interrupted
    with pytest.raises(Interrupted):
        train(prepared)
    resumed = train(session.reopen(Folder(prepared.run.directory), {}))
    assert (resumed.directory / "metrics.jsonl").read_text() == (straight.directory / "metrics.jsonl").read_text()
    one, other = (
        checkpoint.load(checkpoint.newest_first(folder.directory / "checkpoints")[0]) for folder in (straight, resumed)
    )
    assert one["time"] == other["time"] > 3 * len(prepared.algorithm.index)
    assert one["penalty"] == other["penalty"]
    for name, weight in one["combination"].items():
        assert torch.equal(weight, other["combination"][name])


@pytest.mark.slow
def test_a_stack_killed_before_its_first_step_is_whole(runs, tmp_path):
    prepared = stacked(runs, "one", "two", to=tmp_path)
    resumed = train(session.reopen(Folder(prepared.run.directory), {}))
    member = session.restore(resumed).members.classifiers["one"]
    original = session.restore(Folder(runs / "one"))
    assert torch.equal(next(member.ema.parameters()), next(original.ema.parameters()))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("one",), "combines at least 2 runs"),
        (("one", "one"), "one is named twice"),
        (
            ("one", "other split"),
            r"other split keeps other images for validation than one \(--validation 0.2 and 0.3\)",
        ),
        (("one", "no split"), "no split was trained on all training images"),
        (("one", "large"), "large takes images of 12x12 pixels and one of 8x8"),
    ],
)
def test_what_cannot_be_stacked_is_refused(runs, tmp_path, names, message):
    with pytest.raises(UserError, match=message):
        stacked(runs, *names, to=tmp_path)
    assert not (tmp_path / "stack").exists()


def test_runs_of_other_data_or_kinds_are_refused(runs, tmp_path):
    for name, facts, message in (
        ("other", {"task": "mnist"}, "was trained on mnist and one on digits"),
        ("agent", {"algorithm": "dqn", "config": {}}, "is an agent: a stack combines classifiers"),
    ):
        folder = Folder.create(tmp_path, name, name)
        folder.describe(**{**Folder(runs / "one").info, "name": name, **facts})
        with pytest.raises(UserError, match=message):
            prepare([Folder(runs / "one"), folder], None, tmp_path, "stack")


def test_the_penalty_is_strong_where_members_are_alike_and_weak_where_one_is_wrong():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (600,), generator=generator)
    hashes = torch.randint(2**62, (600,), generator=generator)
    good = (F.one_hot(labels, 3) * 2.0 + torch.randn(600, 3, generator=generator)).log_softmax(1).double()
    noise = (3 * torch.randn(600, 3, generator=generator)).log_softmax(1).double()
    alike = best_penalty(torch.cat([good, good], 1), labels, hashes, 3)
    different = best_penalty(torch.cat([good, noise], 1), labels, hashes, 3)
    assert different < alike
    assert best_penalty(good[:4], labels[:4], hashes[:4], 3) == PENALTIES[-1]  # too few for folds


def test_the_start_is_the_mean():
    x = torch.randn(5, 6, dtype=torch.float64)
    torch.testing.assert_close(Combination(2, 3)(x), (x[:, :3] + x[:, 3:]) / 2)
