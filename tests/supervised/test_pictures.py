"""What a classifier draws beside its evaluations, what it predicts, and the pictures in its run folder."""

import numpy as np
import pytest
import torch

from rlgen import session
from rlgen.core.config import resolve
from rlgen.core.errors import Interrupted, UserError
from rlgen.core.settings import Setup
from rlgen.supervised import measures, settings
from rlgen.supervised.classifier import Classifier

DRAWN = {
    "first_batch.png", "filters.png", "confusion.png", "classes.png", "calibration.png", "top_losses.png", "curves.png",
    "report.json",
}  # fmt: skip


def build(task="digits", **options):
    config = resolve(settings.Classifier, {"network": "linear", "batch": 16, **options})
    return Classifier(task, config, Setup(threads=1))


def test_the_first_batch_is_that_of_the_first_step():
    classifier = build(augment="shift")
    drawn = classifier.draw()["first_batch.png"]
    x, y, _ = classifier.minibatch(classifier.order.next_index(2))
    shown = x[0] * classifier.std.view(-1, 1, 1) + classifier.mean.view(-1, 1, 1)
    torch.testing.assert_close(drawn.images, shown, rtol=1e-4, atol=1e-6)
    assert drawn.captions == tuple(str(label) for label in y[0].tolist())


def test_drawing_leaves_the_training_as_it_is():
    plain, drawn = (build(augment="shift,mixup") for _ in range(2))
    for _ in range(3):
        drawn.draw()
        plain.step()
        drawn.step()
    for a, b in zip(plain.network.parameters(), drawn.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_mixed_images_have_both_labels_with_their_shares():
    captions = build(augment="mixup").draw()["first_batch.png"].captions
    for caption in captions:
        first, second = caption.split("\n")
        assert sum(int(line.split()[1].rstrip("%")) for line in (first, second)) in (99, 100, 101)


def test_later_there_are_filters_and_no_first_batch():
    classifier = build()
    classifier.step()
    assert set(classifier.draw()) == {"filters.png"}


def test_the_first_evaluation_alone_has_the_loss_of_equal_scores():
    classifier = build()
    assert {"eval_initial_loss", "eval_uniform_loss"} <= set(classifier.evaluate())
    classifier.step()
    assert not {"eval_initial_loss", "eval_uniform_loss"} & set(classifier.evaluate())


@pytest.fixture(scope="module")
def trained():
    classifier = build(network="mlp", width=0.1)
    for _ in range(60):
        classifier.step()
    return classifier


def test_every_form_of_an_image_has_the_same_probabilities(trained):
    images = trained.test_set.images[:5]  # (N, 1, 8, 8) bytes
    expected = trained.predict(images)
    assert expected.shape == (5, 10)
    assert expected.dtype == np.float32
    assert expected.sum(1) == pytest.approx(np.ones(5), abs=1e-5)
    numbers = images.numpy() / 255
    forms = (
        images.numpy(),
        images[:, 0],
        numbers,
        numbers.astype(np.float32),
        torch.from_numpy(numbers),
        numbers.tolist(),
    )
    for form in forms:
        np.testing.assert_allclose(trained.predict(form), expected, rtol=1e-4, atol=1e-6)


def test_one_image_has_one_row_of_probabilities(trained):
    images = trained.test_set.images
    expected = trained.predict(images[:1])[0]
    one = trained.predict(images[0, 0])
    assert one.shape == (10,)
    np.testing.assert_allclose(one, expected, rtol=1e-5)


def test_predictions_are_those_of_the_report(trained):
    found = trained.predict(trained.test_set.images).argmax(1)
    accuracy = (found == trained.test_set.labels.numpy()).mean()
    assert accuracy == pytest.approx(trained.report(0, 0).values["accuracy"])


@pytest.mark.parametrize("scale", [1, 3])
def test_the_temperature_of_a_report_is_that_of_validation_images(trained, scale, monkeypatch):
    logits = Classifier.logits
    monkeypatch.setattr(Classifier, "logits", lambda self, images: scale * logits(self, images))
    held_out = trained.validation_set
    expected = measures.temperature(trained.logits(held_out.images), held_out.labels)
    assert trained.report(0, 0).values["temperature"] == pytest.approx(expected)


@pytest.mark.parametrize(("loss", "value"), [("softmax", np.log(10)), ("svm", 9), ("ova", 10)])
def test_zero_weights_have_the_loss_of_equal_scores(loss, value):
    found = build(init="zeros", loss=loss).evaluate()
    assert float(found["eval_initial_loss"]) == float(found["eval_train_loss"]) == pytest.approx(value, rel=1e-5)
    assert float(found["eval_uniform_loss"]) == pytest.approx(value, rel=1e-5)


def test_no_images_have_no_probabilities(trained):
    assert trained.predict(np.zeros((0, 1, 8, 8), np.uint8)).shape == (0, 10)


@pytest.mark.parametrize("shape", [(8,), (7, 8), (2, 3, 8, 8), (2, 8, 9), (1, 1, 1, 8, 8)])
def test_another_shape_is_refused(trained, shape):
    with pytest.raises(
        UserError, match=r"images of shape .*: this classifier takes \(N, 1, 8, 8\), or one \(1, 8, 8\)"
    ):
        trained.predict(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("values", [(-0.1, 1.0), (0.0, 255.0), (0.0, float("nan"))])
def test_numbers_outside_of_0_to_1_are_refused(trained, values):
    images = np.zeros((2, 1, 8, 8))
    images[0, 0, 0, :2] = values
    with pytest.raises(UserError, match="bytes"):
        trained.predict(images)


def start(runs, budget=600):
    given = {"network": "linear", "budget": budget, "log_every": 200}
    return session.prepare("classify", "digits", given, runs=runs)


def test_every_picture_is_in_the_run_folder(tmp_path):
    run = start(tmp_path)
    report = run.train(quiet=True)
    names = {path.name for path in run.run.directory.iterdir()}
    assert names >= DRAWN
    assert ("confused.png" in names) == (report.values["accuracy"] < 1)
    assert run.run.info["result"] == report.values


def test_an_interrupted_run_has_the_pictures_of_its_training_alone(tmp_path, monkeypatch):
    def interrupted(algorithm, run, plan):
        run.resume(algorithm)
        run.record(0, algorithm.evaluate())
        run.draw(0, algorithm.draw())
        raise Interrupted(2, "stopped")

    monkeypatch.setattr(session, "fit", interrupted)
    run = start(tmp_path)
    with pytest.raises(Interrupted):
        run.train(quiet=True)
    names = {path.name for path in run.run.directory.iterdir()}
    assert names & DRAWN == {"first_batch.png", "filters.png", "curves.png"}
    assert not run.run.info["result"]


def test_a_run_stopped_at_once_is_not_scored(tmp_path, monkeypatch):
    def stopped(algorithm, run, plan):
        raise Interrupted(2, "stopped at once", saved=False)

    monkeypatch.setattr(session, "fit", stopped)
    run = start(tmp_path)
    with pytest.raises(Interrupted):
        run.train(quiet=True)
    assert "report.json" not in {path.name for path in run.run.directory.iterdir()}
