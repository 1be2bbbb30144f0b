"""A network that starts from another run, and layers that stay as they are."""

import copy

import pytest
import torch

from rlgen import api
from rlgen.core.config import resolve
from rlgen.core.errors import CheckpointError, UserError
from rlgen.core.folder import Folder
from rlgen.core.images import from_bytes
from rlgen.core.settings import Setup
from rlgen.supervised import settings, transfer
from rlgen.supervised.classifier import Classifier

SMALL = {"width": 0.25, "batch": 64, "precision": "float32"}
PLAN = {"budget": 400, "eval_every": 400, "save_every": 400, "threads": 1, "validation": 0.2}
FAST = "its network is that of --network fast --width 0.25"
NORMALISED = {"network": "vgg11", **SMALL, "width": 0.05}  # convolutions with batch statistics


def build(runs, seed=0, **options):
    """A classifier of digits that starts from a run in the folder `runs`."""
    made = Classifier("digits", resolve(settings.Classifier, {**SMALL, **options}), Setup(seed=seed, threads=1))
    return made, made.initialise(runs)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of small runs: classifiers of five digits, an autoencoder, a GAN."""
    folder = tmp_path_factory.mktemp("runs")
    five = {"only_classes": "0,1,2,3,4", **PLAN, "runs": folder}
    api.train("classify", "digits", name="five", **five, **SMALL)
    api.train("classify", "digits", name="three-seeds", **five, **SMALL, seeds=3)
    api.train("classify", "digits", name="normalised", **five, **NORMALISED, size=16)
    coder = {"budget": 128, "threads": 1, "runs": folder}
    api.train("ae", "digits", name="dense", **coder, width=64)
    api.train("ae", "digits", name="strided", **coder, network="convolutional", width=8, depth=1)
    api.train("gan", "digits", name="gan", budget=64, size=8, width=4, runs=folder, threads=1)
    return folder


def images(classifier, count=8):
    return classifier.normalize(from_bytes(classifier.test_set.images[:count])).unsqueeze(0)


@pytest.mark.slow
def test_features_are_those_of_the_source_and_the_head_is_new(runs):
    source = api.load(runs / "five")
    made, facts = build(runs, init_from="five")
    x = made.test_set.images[:8]
    features = [c.ema.network.features(c.normalize(from_bytes(x))) for c in (source, made)]
    assert torch.allclose(*features)
    assert torch.equal(made.network.network.body[0][0].weight, made.ema.network.body[0][0].weight)
    assert made.logits(x).shape == (1, 8, 10)
    fresh = Classifier("digits", made.config, Setup(threads=1))
    assert torch.equal(made.network.network.head.weight, fresh.network.network.head.weight)
    assert facts["transfer"]["run"] == "five"
    assert facts["transfer"]["layers"] == ["conv1", "conv2", "conv3", "conv4"]
    assert "of five (classify on digits, " in made.describe_task()["weights"]
    assert made.describe_task()["weights"].endswith("new: the head")


@pytest.mark.slow
def test_images_are_normalised_as_those_of_the_source_also_after_a_resume(runs):
    made, _ = build(runs, init_from="five")
    source = api.load(runs / "five")
    assert torch.equal(made.mean, source.mean)
    own = Classifier("digits", resolve(settings.Classifier, SMALL), Setup(threads=1))
    assert not torch.equal(made.mean, own.mean)
    resumed = Classifier("digits", made.config, Setup(threads=1))
    resumed.load_state_dict(copy.deepcopy(made.state_dict()))
    assert torch.equal(resumed.mean, made.mean)
    assert torch.equal(resumed.std, made.std)


def test_an_encoder_gives_its_layers_to_a_network_of_the_same_shapes(runs):
    source = api.load(runs / "dense")
    made, facts = build(runs, init_from="dense", network="mlp", width=64 / 512, depth=2)
    x = from_bytes(made.test_set.images[:8])
    codes = source.ema.encoder.layers[:-1](x.flatten(1))
    assert torch.allclose(made.ema.network.features(made.normalize(x)), codes, atol=1e-6)
    assert facts["transfer"]["left_out"] == ["layers.4"]


def test_a_convolutional_encoder(runs):
    source = api.load(runs / "strided")
    made, _ = build(runs, init_from="strided", network="encoder", depth=1)
    x = from_bytes(made.test_set.images[:8])
    assert torch.allclose(made.ema.network.features(made.normalize(x)), source.ema.encoder.shrink(x), atol=1e-6)


def test_seeds_start_from_seeds_of_the_source(runs):
    source = api.load(runs / "three-seeds")
    made, _ = build(runs, init_from="three-seeds", seeds=4)
    assert torch.equal(
        made.network.weight("body.conv1.0.weight"), source.ema.weight("body.conv1.0.weight")[[0, 1, 2, 0]]
    )
    one, _ = build(runs, init_from="three-seeds")
    assert torch.equal(one.network.network.body.conv1[0].weight, source.ema.weight("body.conv1.0.weight")[0])


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_frozen_layers_do_not_change_and_the_others_do(runs, seeds, optimizer):
    options = {**NORMALISED, "size": 16, "seeds": seeds, "optimizer": optimizer, "weight_decay": 0.1, "l1": 0.01}
    made, _ = build(runs, init_from="normalised", freeze="2", **options)
    before = {
        name: copy.deepcopy(module.state_dict()) for name, module in (("network", made.network), ("ema", made.ema))
    }
    for _ in range(3):
        made.step()
    made.evaluate()
    made.step()
    for name, state in before.items():
        after = getattr(made, name).state_dict()
        frozen = {key for key in state if key.startswith(("network.body.conv1_1.", "network.body.conv2_1."))}
        assert any("running_var" in key for key in frozen)
        changed = {key for key, value in after.items() if not torch.equal(value, state[key])}
        assert not frozen & changed
        assert {
            "network.head.weight",
            "network.body.conv3_1.0.weight",
            "network.body.conv3_1.1.running_mean",
        } <= changed


def test_with_the_whole_body_frozen_the_head_alone_is_trained(runs):
    made, _ = build(runs, init_from="five", freeze="all", optimizer="adam", lr=0.02)
    features = made.ema.network.features(images(made)[0])
    heads = made.network.network.head
    assert made.parameter_count() == sum(p.numel() for p in heads.parameters())
    losses = [made.step()["loss"].item() for _ in range(60)]
    assert torch.equal(made.ema.network.features(images(made)[0]), features)
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(("freeze", "count"), [("none", 0), ("1", 1), ("all", 8)])
def test_layers_are_counted_by_blocks_with_weights(freeze, count):
    made = Classifier(
        "digits", resolve(settings.Classifier, {**NORMALISED, "size": 16, "freeze": freeze}), Setup(threads=1)
    )
    constant = [
        name
        for name, block in made.network.network.body.named_children()
        if not any(p.requires_grad for p in block.parameters()) and block.state_dict()
    ]
    assert len(constant) == len(made.frozen) == count


@pytest.mark.slow
def test_a_resumed_run_needs_its_source_no_longer(tmp_path, runs):
    import shutil

    shutil.copytree(runs / "five", tmp_path / "five")
    more = {"runs": tmp_path, "threads": 1, "init_from": "five", "freeze": "1", **SMALL}
    plan = {"eval_every": 200, "save_every": 200, "log_every": 64, "lr_steps": 600}
    whole = api.train("classify", "digits", name="whole", budget=600, **plan, **more)
    half = api.train("classify", "digits", name="half", budget=300, **plan, **more)
    shutil.rmtree(tmp_path / "five")
    resumed = api.resume(half.directory, budget=600)
    pair = [api.load(run.directory) for run in (whole, resumed)]
    for a, b in zip(*(c.ema.state_dict().values() for c in pair), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(pair[0].mean, pair[1].mean)
    assert resumed.info["transfer"]["run"] == "five"
    assert resumed.info["transfer"]["time"] == whole.info["transfer"]["time"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init_from": "five", "network": "lenet5", "size": 28}, f"fit: none; that do not: C1, C3, C5, F6; {FAST}"),
        ({"init_from": "five", "width": 0.5}, FAST),
        ({"init_from": "five", "activation": "tanh"}, f"all layers fit; {FAST} --activation auto"),
        ({"init_from": "five", "network": "linear", "width": 1.0}, "linear has no layers with weights before its head"),
        (
            {"init_from": "normalised", "network": "vgg13", "size": 16, "width": 0.05},
            "layers that fit: conv1_1, conv2_1, conv3_1, conv3_2, conv4_1, ..., conv5_2; that do not: conv1_2, conv2_2",
        ),
        ({"init_from": "dense", "network": "mlp", "width": 0.5}, "--network mlp --width 0.125 --depth 2"),
        ({"init_from": "gan"}, "gan, a run of gan, has neither layers before a head nor an encoder"),
        ({"init_from": "missing"}, "--init-from missing: no run 'missing'"),
    ],
)  # fmt: skip
def test_runs_that_do_not_fit_are_refused(runs, options, message):
    with pytest.raises(UserError, match=r"^--init-from") as refused:
        build(runs, **options)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_plain_networks_do_not_take_the_layers_of_residual_ones(runs, tmp_path):
    options = {"width": 0.125, "size": 16, "batch": 32, "runs": tmp_path, "threads": 1}
    api.train("classify", "digits", name="residual", network="resnet20", budget=64, **options)
    with pytest.raises(UserError, match="all layers fit; its network is that of --network resnet20"):
        build(tmp_path, init_from="residual", network="plain20", width=0.125, size=16)


@pytest.mark.parametrize("freeze", ["-1", "some", "1.5", ""])
def test_freeze_is_a_number_all_or_none(freeze):
    with pytest.raises(UserError, match=r"--freeze .*give all, none, or the number"):
        resolve(settings.Classifier, {"freeze": freeze})


def test_more_frozen_layers_than_there_are():
    with pytest.raises(
        UserError, match=r"--freeze 9: there are 4 layers before the head \(conv1, conv2, conv3, conv4\)"
    ):
        Classifier("digits", resolve(settings.Classifier, {**SMALL, "freeze": "9"}), Setup(threads=1))


def test_a_source_without_a_checkpoint(runs, tmp_path):
    Folder.create(tmp_path, "empty", algorithm="classify", task="digits", config={})
    with pytest.raises(CheckpointError, match="empty-1 has no undamaged checkpoint"):
        transfer.read(Folder.find(tmp_path, "empty-1"))


@pytest.mark.parametrize("options", [{"init_from": "five"}, {"freeze": "1"}])
def test_boosting_starts_each_member_anew(options):
    with pytest.raises(UserError, match=r"--ensemble boosting starts each member anew"):
        resolve(settings.Classifier, {"ensemble": "boosting", **options}).check({})


def test_members_of_an_ensemble_start_from_one_source_with_heads_of_their_own(runs):
    made, _ = build(runs, init_from="five", ensemble="bagging", members=2, freeze="all")
    first = made.network.weight("body.conv1.0.weight")
    assert torch.equal(first[0], first[1])
    heads = made.network.weight("head.weight").clone()
    assert not torch.equal(heads[0], heads[1])
    before = made.network.weight("body.conv4.0.weight").clone()
    made.step()
    assert torch.equal(made.network.weight("body.conv4.0.weight"), before)
    assert not torch.equal(made.network.weight("head.weight"), heads)


def test_a_linear_network_has_no_layers_to_freeze():
    with pytest.raises(UserError, match=r"--freeze 2: the network has no layers with weights before its head"):
        Classifier("digits", resolve(settings.Classifier, {"network": "linear", "freeze": "2"}), Setup(threads=1))


def test_batch_normalisation_of_one_image_is_refused():
    with pytest.raises(UserError, match=r"--batch 1: .*--batch 2 or --norm none"):
        Classifier("digits", resolve(settings.Classifier, {**SMALL, "batch": 1}), Setup(threads=1))
    alone = {**SMALL, "batch": 1, "norm": "none"}
    assert Classifier("digits", resolve(settings.Classifier, alone), Setup(threads=1)).config.batch == 1


@pytest.mark.parametrize("options", [{"ensemble": "average", "members": 2}, {"folds": 2}])
def test_an_ensemble_and_the_networks_of_folds_are_sources(tmp_path, options):
    plan = {"budget": 64, "eval_every": 64, "threads": 1, "runs": tmp_path}
    api.train("classify", "digits", name="several", **{**plan, **SMALL, **options})
    source = api.load(tmp_path / "several")
    made, _ = build(tmp_path, init_from="several")
    theirs = source.ema.weight("body.conv1.0.weight")
    assert len(theirs) == 2
    assert torch.equal(made.network.network.body.conv1[0].weight, theirs[0])
