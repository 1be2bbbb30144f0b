"""The networks of runs as subjects of explanations: of classifiers, agents, GANs, and the feature classifier."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rlgen import networks
from rlgen.agents.actor import ActorInput
from rlgen.agents.networks import QNetwork
from rlgen.agents.noise import zero_noise
from rlgen.core.errors import UserError
from rlgen.core.images import from_bytes, to_bytes
from rlgen.core.seeds import derive, initial_weights, numpy_stream
from rlgen.explain.parts import ClassLogits, Parts, QHead, Sides
from rlgen.explain.subject import Subject, Words, plane_colours
from rlgen.generative.quality.feature_classifier import FeatureClassifier, lenet

OBSERVATIONS, STEPS, EPISODES = 1_000, 500, 8  # of an agent: observations kept, steps and episodes they come from
IMAGES = 1_000  # of a discriminator: half of them test images, half generated
PURPOSE = "random network of an explanation"


def subject_of(algorithm: Any, name: str, member: int = 0, network: str | None = None) -> Subject:
    """The network called `network` of an algorithm, the run `name`, by default its own one; of seed or member `member`.

    Raises UserError where there is none, or where its inputs are no images.
    """
    found = networks_of(algorithm, name)
    if network is not None and network not in found:
        raise UserError(f"--network {network}: the networks of {name} are {', '.join(found)}")
    return NETWORKS[network or found[0]][1](algorithm, member)


def networks_of(algorithm: Any, name: str) -> list[str]:
    """Names of the networks of the run `name`, its own one first. Raises UserError where there is none."""
    if hasattr(algorithm, "distribution"):
        raise UserError(f"{name} holds points, and maps are of images: `rlgen ui` shows the field of its discriminator")
    found = [key for key, (capability, _) in NETWORKS.items() if hasattr(algorithm, capability)]
    if not found:
        raise UserError(f"{name} has no network to explain: its values are a table or distances to examples")
    return found


def classifier(algorithm: Any, member: int) -> Subject:
    """The averaged weights of seed or member `member` of a classifier."""
    members = [(copies, s) for copies in algorithm.ensemble.networks() for s in range(copies.count)]
    copies, s = members[_member(member, len(members))]
    config = algorithm.config
    shapes = (algorithm.shape, len(algorithm.classes))

    def fresh(seed: int) -> nn.Module:
        with initial_weights(derive(seed, PURPOSE)):
            return _frozen(networks.build(config.network, *shapes, replace(config, init="he")))

    network = networks.build(config.network, *shapes, config)
    weights = copies.network.state_dict()
    network.load_state_dict({k: (v[s] if copies.count > 1 else v).cpu() for k, v in weights.items()})
    test, mean = algorithm.test_set, algorithm.mean.float().cpu()
    return Subject(
        _frozen(network), fresh, test.images.cpu(), test.labels.cpu(), algorithm.classes,
        mean, algorithm.std.float().cpu(), config.network, mean,
    )  # fmt: skip


def agent(algorithm: Any, member: int) -> Subject:
    """The Q-network of seed `member` of an agent, with observations of its own greedy episodes."""
    env, config = algorithm.env, algorithm.config
    _member(member, config.seeds)
    if len(env.shape) != 3 or min(env.shape[1:]) < 3 or env.dtype != np.uint8:
        raise UserError(
            "the observations of this agent are numbers, not pixels: `rlgen ui` shows what each of them changes"
        )
    if not isinstance(algorithm.q.network, QNetwork):
        raise UserError(
            "the Q-values of a recurrent agent depend on all observations before: `rlgen play --thinking` shows them"
        )

    def mean(out: Tensor) -> Tensor:
        values: Tensor = algorithm.value.mean(out.expand(config.seeds, *out.shape).to(algorithm.device))
        return values[member].to(out.device)  # C51 has a support per seed

    def parts(network: Any) -> nn.Module:
        zero_noise(network)
        return _frozen(Parts(network.cpu().torso, QHead(network.head, mean)))

    def fresh(seed: int) -> nn.Module:
        with initial_weights(derive(seed, PURPOSE)):
            return parts(algorithm.network())

    network = parts(algorithm.q.alone(member))
    seen = _observations(algorithm, member)
    factor = 255 // (255 if env.scale == 255 else max(1, int(seen.max())))  # the brightest value is drawn as white
    images = torch.from_numpy(seen * np.uint8(factor))
    channels = images.shape[1]
    palette = plane_colours(channels, config.frame_stack, env.preprocessing.channels_last)
    planes = palette is not None and config.frame_stack == 1
    words = replace(Q_WORDS, caption=Q_WORDS.caption + "; each plane has a colour") if planes else Q_WORDS
    scale = torch.full((channels,), factor * env.scale / 255)
    subject = Subject(
        network, fresh, images, torch.zeros(len(images), dtype=torch.long), _actions(env), torch.zeros(channels), scale,
        "Q-network", from_bytes(images).mean((0, 2, 3)), words, palette,
    )  # fmt: skip
    return replace(subject, labels=subject.decide(subject.normalize(images))[0])


def discriminator(algorithm: Any, member: int) -> Subject:
    """The discriminator of a GAN, with test images and as many generated ones."""
    _member(member, 1)

    def parts(network: Any) -> nn.Module:
        output, embedding = network.output, network.label_embedding
        threshold = algorithm.adversarial_loss.decision_threshold or 0.0
        head = Sides(output, threshold) if embedding is None else ClassLogits(output, embedding)
        return _frozen(Parts(network.features, head))

    def fresh(seed: int) -> nn.Module:
        with initial_weights(derive(seed, PURPOSE)):
            return parts(algorithm.build_networks()[1])

    images, labels = algorithm.test_set.images[:IMAGES].cpu(), algorithm.test_set.labels
    classes, words = algorithm.classes, LABEL_WORDS
    if not algorithm.conditional:
        half = images[: IMAGES // 2]
        images = torch.cat([half, to_bytes(algorithm.sample(len(half), seed=derive(algorithm.seed, "explained")))])
        labels = torch.tensor([1, 0]).repeat_interleave(len(half))
        classes, words = ("generated", "real"), SIDE_WORDS
    half_grey = torch.full((images.shape[1],), 0.5)
    return Subject(
        parts(copy.deepcopy(algorithm.discriminator).cpu()), fresh, images, labels[: len(images)].cpu(), classes,
        half_grey, half_grey, "discriminator", from_bytes(images).mean((0, 2, 3)), words,
    )  # fmt: skip


def features(algorithm: Any, member: int) -> Subject:
    """The feature classifier in whose features the samples of a model are compared with images."""
    _member(member, 1)
    train, test = algorithm.real("train"), algorithm.real("test")
    found = FeatureClassifier.cached(train, test)
    if found.accuracy is None:
        raise UserError("the dataset has no two classes, so its feature classifier is untrained: nothing to explain")
    shape = tuple(test.images.shape[1:])

    def parts(network: nn.Sequential) -> nn.Module:
        *layers, last = network.children()
        return _frozen(Parts(nn.Sequential(*layers), last))

    def fresh(seed: int) -> nn.Module:
        with initial_weights(derive(seed, PURPOSE)):
            return parts(lenet(shape, len(test.classes)))

    network = lenet(shape, len(test.classes))
    network.load_state_dict(found.network)
    none, one = torch.zeros(shape[0]), torch.ones(shape[0])
    return Subject(
        parts(network), fresh, test.images, test.labels, test.classes, none, one, "feature classifier",
        from_bytes(test.images).mean((0, 2, 3)),
    )  # fmt: skip


Q_WORDS = Words(
    score="the action's Q-value", output="action", scores="the Q-value of an action",
    images="observations of greedy episodes", caption="the greedy action and its Q-value", probable=False,
)  # fmt: skip
SIDE_WORDS = Words(
    score="the logit of the side that the image is taken for", output="side", scores="the logit of a side",
    images="test and generated images",
    caption="real or generated, and the logit; → the other side, where the discriminator is wrong", probable=False,
)  # fmt: skip
LABEL_WORDS = Words(
    score="the logit of real for a label", scores="the logit of real for a label",
    caption="its label and the logit; → the label for which it is highest", probable=False,
)  # fmt: skip
NETWORKS: dict[str, tuple[str, Callable[[Any, int], Subject]]] = {  # by an attribute of the algorithm
    "classifier": ("ensemble", classifier),
    "Q-network": ("replay", agent),
    "discriminator": ("discriminator", discriminator),
    "features": ("real", features),
}


def _observations(algorithm: Any, member: int) -> NDArray[np.uint8]:
    """Different observations (N, C, H, W) of greedy episodes, drawn at random."""
    seed, seeds = derive(algorithm.seed, "explained observations"), algorithm.config.seeds
    env = algorithm.make_env(seeds * EPISODES, seed, restart=False)
    algorithm.eval_mode()
    state, seen = algorithm.initial_state(len(env.obs)), []
    try:
        for _ in range(STEPS):
            live = algorithm.split_seeds(~env.episode_end)[member]
            seen.append(algorithm.split_seeds(env.obs)[member][live])
            if env.episode_end.all():
                break
            action, state = algorithm.greedy(ActorInput(env.obs, env.action_mask, state, env.is_first))
            env.step(action)
    finally:
        env.close()
    different = np.unique(np.concatenate(seen), axis=0)
    return different[numpy_stream(seed, "order").permutation(len(different))[:OBSERVATIONS]]


def _actions(env: Any) -> tuple[str, ...]:
    """Names of the actions, each another one."""
    from rlgen.envs.labels import action_names

    names = action_names(env)
    return tuple(name if names.count(name) == 1 else f"{name} {i}" for i, name in enumerate(names))


def _member(member: int, count: int) -> int:
    if not 0 <= member < count:
        raise UserError(f"--member {member}: this run has the members 0 to {count - 1}")
    return member


def _frozen(network: nn.Module) -> nn.Module:
    return network.eval().requires_grad_(False)
