import pytest
import torch

from rlgen.agents import settings
from rlgen.agents.dqn import DQN
from rlgen.agents.findings import findings
from rlgen.core.config import resolve
from rlgen.core.findings import Record
from rlgen.core.settings import Setup


def found(agent=None, config=(), time=1000, **metrics):
    series = {name: [(100.0 * i, float(v)) for i, v in enumerate(values)] for name, values in metrics.items()}
    info = {"config": {"lr": 0.001, "seeds": 5, **dict(config)}, "plan": {"budget": 1000}, "time": time}
    return {finding.name: finding for finding in findings(Record("runs/x", "CartPole", "dqn", info, series), agent)}


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("nothing learned", {"eval_return": [20, 9, 20]}, {"eval_return": [20, 9, 21]}),
        ("nothing learned", {"eval_return": [20, 9, 20]}, {"eval_return": [20, 300, 19]}),
        ("forgotten", {"eval_return": [10, 500, 100]}, {"eval_return": [10, 500, 400]}),
        ("still exploring", {"epsilon": [1.0, 0.5]}, {"epsilon": [1.0, 0.05]}),
        ("too few seeds", {"config": {"seeds": 1}}, {"config": {"seeds": 3}}),
    ],
)
def test_a_finding_and_its_absence(name, bad, good):
    assert name in found(**bad)
    assert found(**bad)[name].command.startswith("rlgen ")
    assert name not in found(**good)


def test_forgetting_has_its_size_and_the_command_for_the_best_weights():
    forgotten = found(eval_return=[10, 500, 100])["forgotten"]
    assert forgotten.number == 400
    assert forgotten.severity == "problem"
    assert forgotten.command == "rlgen eval runs/x --checkpoint best"


def agent(**options):
    """An agent with a filled replay buffer."""
    small = {"learning_starts": 50, "buffer_size": 500, "width": 16, **options}
    made = DQN("CartPole", resolve(settings.DQN, small), Setup(threads=1))
    while made.time < 200:
        made.collect()
    return made


def shift(made, value):
    """Every Q-value raised by `value`."""
    head = [module for module in made.q.network.modules() if isinstance(module, torch.nn.Linear)][-1]
    head.bias.data += value


@pytest.mark.parametrize("options", [{}, {"quantiles": 5}, {"munchausen": 0.9}, {"seeds": 2}])
def test_values_above_any_return_are_found_and_possible_ones_are_not(options):
    made = agent(**options)
    assert "Q above any possible return" not in found(made)
    shift(made, 200.0)  # a reward of 1 in each of 500 steps, discounted by 0.99, is 99.3
    finding = found(made)["Q above any possible return"]
    assert finding.number > 150
    assert finding.severity == "problem"
    if not options:
        assert "99.3" in finding.text
        shift(made, -103.0)
        assert "Q above any possible return" not in found(made)


def test_values_above_zero_are_impossible_where_every_step_costs():
    made = agent()
    made.replay.reward[:] = -1.0
    shift(made, -20.0)
    assert "Q above any possible return" not in found(made)
    shift(made, 20.5)
    assert "Q above any possible return" in found(made)


def test_dead_units_of_the_q_network():
    made = agent()
    assert "dead ReLUs" not in found(made)
    layer = next(module for module in made.q.network.modules() if isinstance(module, torch.nn.Linear))
    layer.bias.data -= 100.0
    assert found(made)["dead ReLUs"].severity == "problem"
