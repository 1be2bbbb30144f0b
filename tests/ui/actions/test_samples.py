import numpy as np
import pytest
import torch

from rlgen.core.errors import UserError
from rlgen.core.images import from_bytes, to_bytes
from rlgen.core.seeds import derive
from rlgen.ui.actions import Session, encoding, samples


@pytest.fixture
def session(tmp_path):
    return Session(tmp_path)


def decoded(urls, shape=(1, 8, 8)):
    return torch.stack([torch.from_numpy(encoding.picture(url, shape)) for url in urls])


def brute_force(x, images, k):
    """Distances and places of the k nearest of images to x, one by one in float64."""
    distances = [np.sqrt(((x - image / 255.0) ** 2).sum()) for image in images.double().numpy()]
    order = np.argsort(distances, kind="stable")[:k]
    return [distances[i] for i in order], order.tolist()


@pytest.mark.parametrize("name", ["gan", "vae", "pixelcnn"])
def test_without_a_seed_the_samples_are_those_of_the_grid(model, session, name):
    made = model(name)
    found = samples.draw(made, {}, session)
    grid = made.grids(derive(made.seed, "sheet"))["samples"]
    assert torch.equal(decoded(found["samples"]), to_bytes(grid.images))
    assert found["labels"] is None


def test_samples_of_a_seed_and_of_classes_in_turn(model, session):
    made = model("gan", conditional=True)
    found = samples.draw(made, {"count": 12, "seed": 3}, session)
    assert found["labels"] == [*range(10), 0, 1]
    assert torch.equal(decoded(found["samples"]), to_bytes(made.sample(12, seed=3, labels=found["labels"])))
    with pytest.raises(UserError, match="count must be a whole number from 1 to 64"):
        samples.draw(made, {"count": 65}, session)


def test_the_nearest_training_images_are_those_of_a_search_one_by_one(model, session):
    made = model("gan")
    found = samples.nearest(made, {"of": "sample", "index": 7}, session)
    x = made.fixed_samples()[0][7].double().numpy()
    train = made.load("train")
    distances, places = brute_force(x, train.images, 5)
    assert [neighbour["index"] for neighbour in found["neighbours"]] == places
    assert [neighbour["distance"] for neighbour in found["neighbours"]] == pytest.approx(distances, rel=1e-5)
    assert [neighbour["label"] for neighbour in found["neighbours"]] == train.labels[places].tolist()
    images = decoded([neighbour["image"] for neighbour in found["neighbours"]])
    assert torch.equal(images, train.images[places])


def test_the_percentile_is_that_among_the_distances_of_test_images(model, session, monkeypatch):
    monkeypatch.setattr(samples, "REFERENCES", 40)
    made = model("gan")
    train, test = made.load("train"), made.load("test")
    index = np.round(np.linspace(0, len(test) - 1, 40)).astype(int)
    own = sorted(brute_force(from_bytes(test.images[i]).double().numpy(), train.images, 1)[0][0] for i in index)
    for request in ({"of": "sample", "index": 0}, {"of": "test", "index": 9}):
        found = samples.nearest(made, request, session)
        assert found["references"] == pytest.approx(own, rel=1e-5)
        distance = found["neighbours"][0]["distance"]
        assert found["percentile"] == pytest.approx(100 * np.mean(np.array(own) < distance), abs=1.3)
    assert found["training"] == len(train)


def test_a_copied_training_image_is_at_distance_0_and_percentile_0(model, session):
    made = model("gan")
    image = made.load("train").images[11, 0].numpy()
    found = samples.nearest(made, {"of": "picture", "picture": encoding.png(image)}, session)
    assert found["neighbours"][0]["index"] == 11
    assert found["neighbours"][0]["distance"] < 1e-5
    assert found["percentile"] == 0


@pytest.mark.parametrize(("name", "binary"), [("pixelcnn", True), ("vae", False)])
def test_images_are_compared_in_the_form_of_the_samples(model, session, name, binary):
    """Samples of a PixelCNN are black and white, those of a VAE are mean images."""
    made = model(name)
    found = samples.nearest(made, {"of": "test", "index": 4}, session)
    images = decoded([found["image"], *[neighbour["image"] for neighbour in found["neighbours"]]])
    assert (set(images.unique().tolist()) == {0, 255}) == binary
    assert torch.equal(images[0], made.real("test").images[4])
    assert torch.equal(images[1], made.real("train").images[found["neighbours"][0]["index"]])


@pytest.mark.parametrize(("memory_chunk", "query_chunk"), [(7, 3), (100, 2), (3, 100)])
def test_a_search_in_chunks_finds_what_one_of_all_finds(monkeypatch, memory_chunk, query_chunk):
    stream = torch.Generator().manual_seed(0)
    memory = torch.randint(256, (50, 1, 3, 3), dtype=torch.uint8, generator=stream)
    queries = from_bytes(torch.randint(256, (8, 9), generator=stream))
    monkeypatch.setattr(samples, "MEMORY_CHUNK", memory_chunk)
    monkeypatch.setattr(samples, "QUERY_CHUNK", query_chunk)
    found = samples.search(queries, memory, 5)
    for query, distance, place in zip(queries.double(), *found, strict=True):
        distances, places = brute_force(query.view(1, 3, 3).numpy(), memory, 5)
        assert distance.tolist() == pytest.approx(distances, rel=1e-5, abs=1e-6)
        assert place.tolist() == places
    assert samples.search(queries, memory[:2], 5).place.shape == (8, 2)


def test_percentiles_count_ties_by_half():
    references = torch.tensor([1.0, 2.0, 2.0, 3.0])
    assert [samples.percentile(d, references) for d in (0.5, 1.0, 1.5, 2.0, 3.5)] == [0, 12.5, 25, 50, 100]


def test_a_classifier_or_agent_has_no_samples(session):
    with pytest.raises(UserError, match="object is no generative model"):
        samples.draw(object(), {}, session)
