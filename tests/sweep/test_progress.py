import json

from rlgen.core.folder import Folder
from rlgen.sweep import progress
from rlgen.sweep.progress import Table


def end(study, role, number, score, *, status="finished", time=160):
    facts = {"number": number, "role": role, "settings": {"lr": number / 10, "double": True}, "seeds": [number]}
    name = f"{'trial' if role == 'tuning' else 'test'}-{number:04d}{'-1' if role == 'test' else ''}"
    result = {"score": score, "per_seed": [score - 1, score + 1]}
    plan = {"budget": 200}
    folder = Folder.create(study.folder, "x", name, algorithm="dqn", trial=facts, result=result, plan=plan, time=time)
    folder.describe(status=status)


def test_each_trial_is_a_row_at_its_end_and_once(begin, capsys):
    study = begin(algorithm="dqn", task="CartPole", settings={"width": 8})
    with Table(study) as table:
        end(study, "tuning", 1, 5.0)
        table.look()
        table.look()
        end(study, "tuning", 2, 4.0, status="running")
        end(study, "tuning", 3, 300.0)
        table.look()
        lines = table._status(100).plain.split("\n")
    rows = [line for line in capsys.readouterr().err.splitlines() if line.startswith("trial")]
    assert rows == [
        "trial   1/3  score 5 (4 to 6 of 2 seeds)  lr=0.1  double=on  best so far",
        "trial   3/3  score 300.0 (299.0 to 301.0 of 2 seeds)  lr=0.3  double=on  best so far",
    ]
    assert "2/4 trials" in lines[0]
    assert lines[1] == "  trial 2   80 %  lr=0.2  double=on"
    assert lines[2] == "best      trial 3  score 300.0 (299.0 to 301.0 of 2 seeds)  lr=0.3  double=on"


def test_the_outcome_has_the_selected_score_the_fresh_one_and_their_gap(begin):
    study = begin(algorithm="dqn", task="CartPole", settings={"width": 8})
    end(study, "tuning", 1, 5.0)
    end(study, "tuning", 2, 7.0)
    end(study, "test", 2, 4.0)
    found = progress.summary(study)
    assert (found["best"]["number"], found["best"]["score"], found["fresh"]["score"], found["gap"]) == (2, 7, 4, 3)
    assert found["command"] == "rlgen dqn CartPole --width 8 --lr 0.2 --double"
    json.dumps(found, allow_nan=False)
    assert "fresh   trial 2  score 4 (3 to 5 of 2 seeds), 7 while tuning (gap +3)" in progress.lines(study)
