from pathlib import Path

import pytest

from rlgen.core.errors import UserError
from rlgen.queue import file

GOOD = """\
budget = 2_000  # of all

[cartpole]
command = "dqn"
task = "CartPole"
seed = [0, 7]
learning-starts = 100

["digits 2"]
command = "VAE"
task = "digits"
budget = 500
fallback = false
lr = 1e-3
"""


@pytest.fixture
def read(tmp_path):
    def read(*texts):
        paths = [tmp_path / f"{chr(97 + i)}.toml" for i in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        return file.read(paths, Path("runs"))

    return read


def test_a_table_is_a_run_or_one_per_seed(read):
    first, second, third = read(GOOD)
    assert (first.name, second.name, third.name) == ("cartpole-seed-0", "cartpole-seed-7", "digits 2")
    assert second.settings == {"budget": 2000, "seed": 7, "learning_starts": 100}
    assert (third.entry.name, third.plan.budget, third.place[-8:]) == ("vae", 500, "a.toml:9")
    common = ["--budget", "2000", "--seed", "7", "--learning-starts", "100"]
    assert second.words == ["dqn", "CartPole", *common, "--runs", "runs", "--name", "cartpole-seed-7"]
    assert third.words[:7] == ["vae", "digits", "--budget", "500", "--lr", "0.001", "--no-fallback"]


def test_a_preset_is_taken(read):
    (job,) = read('[a]\ncommand = "classify"\ntask = "mnist"\npreset = "long"\n')
    assert job.words[2:4] == ["--preset", "long"]
    assert job.plan.budget == 2_400_000


RUN = '[a]\ncommand = "dqn"\ntask = "CartPole"\n'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a.toml holds no run: a run is a table"),
        ("budget = 3\n", "a.toml holds no run: a run is a table"),
        ("[a\n", "a.toml is not valid TOML: .*line 1"),
        ("[a]\nlr = fast\n", "a.toml is not valid TOML: .*line 2"),
        ('[a]\ntask = "CartPole"\n', r"a.toml:1: \[a\] has no command, such as command = \"dqn\""),
        ('x = 1\n[a]\ncommand = "dqn"\n', r"a.toml:2: \[a\] has no task"),
        ('[a]\ncommand = "dqm"\ntask = "CartPole"\n', "a.toml:2: no algorithm 'dqm': did you mean dqn"),
        ("[a]\ntask = 3\ncommand = true\n", "a.toml:3: command is on: it takes a text"),
        ('[a]\ncommand = "dqn"\ntask = "CartPol"\n', "a.toml:3: .*did you mean CartPole"),
        ('[a]\ncommand = "dqn"\ntask = "mnist"\n', "a.toml:3: mnist is a dataset, and dqn trains on an environment"),
        (f"{RUN}\nlrr = 1e-3\n", "a.toml:5: dqn has no setting 'lrr': did you mean lr"),
        (f'{RUN}comand = "dqn"\n', "a.toml:4: dqn has no setting 'comand': did you mean command"),
        (f"{RUN}latent = 3\n", "a.toml:4: dqn has no setting 'latent'"),
        (f"lanes = 2\n{RUN}", "a.toml:1: dqn has no setting 'lanes': lanes is now num_envs"),
        (f'{RUN}name = "b"\n', r"a.toml:4: the name of a run is that of its table, \[a\]"),
        (f'{RUN}lr = "fast"\n', "a.toml:4: lr is 'fast': it takes a number"),
        (f'{RUN}lr = "0.1"\n', "a.toml:4: lr is '0.1': it takes a number"),
        (f"{RUN}budget = true\n", "a.toml:4: budget is on: it takes a whole number"),
        (f"{RUN}budget = 1.5\n", "a.toml:4: --budget 1.5: "),
        (f"{RUN}double = 1\n", "a.toml:4: double is 1: it takes true or false"),
        (f'{RUN}device = "gpu"\n', "a.toml:4: --device gpu: "),
        (f"{RUN}lr = [1e-3, 1e-4]\n", r"a.toml:4: lr is \[0.001, 0.0001\]: it takes a number"),
        (f"{RUN}when = 2026-01-01\n", "a.toml:4: dqn has no setting 'when'"),
        (f"{RUN}lr = 2026-01-01\n", "a.toml:4: lr is 2026-01-01: it takes a number"),
        (f"gamma = 1.5\n{RUN}", "a.toml:1: --gamma 1.5: "),
        (f"{RUN}seed = []\n", r"a.toml:4: seed is \[\]"),
        (f"{RUN}seed = [1, true]\n", r"a.toml:4: seed is \[1, True\]"),
        (f"{RUN}seed = [0, 2, 0]\n", "a.toml:4: seed 0 stands in the list twice"),
        (f"{RUN}seed = [-1]\n", "a.toml:4: --seed -1: "),
        (f'{RUN}preset = "lnog"\n', "a.toml:4: --preset lnog"),
        (RUN.replace("[a]", "[[a]]"), r"a.toml:1: a run is a table \[a\], not a list of tables"),
        (RUN.replace("[a]", "[a.b]"), r'a name with a dot is quoted: \["a.b"\]'),
        (RUN.replace("[a]", '["a/b"]'), "a.toml:1: --name 'a/b': a name is not a path"),
        (RUN.replace("[a]", "[Latest]"), "a.toml:1: --name latest"),
        (f"{RUN}{RUN.replace('[a]', '[A]')}", "a.toml:4: .*a.toml:1 has a run of the name a, too"),
        (f"{RUN}\n[b]\ncommand = 'c51'\ntask = 'CartPole'\nn_step = 0\n", "a.toml:8: --n-step 0"),
    ],
)
def test_what_cannot_be_trained_is_named_with_its_line(read, text, reason):
    with pytest.raises(UserError, match=reason) as error:
        read(text)
    assert "\n" not in str(error.value)


def test_names_are_unique_in_all_files(read):
    with pytest.raises(UserError, match=r"b.toml:2: .*a.toml:1 has a run of the name a, too: choose another"):
        read(RUN, f"\n{RUN}")


def test_a_file_that_is_missing_or_no_text(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*no\.toml: No such file"):
        file.read([tmp_path / "no.toml"], Path("runs"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"bytes.toml is not valid TOML"):
        file.read([tmp_path / "bytes.toml"], Path("runs"))
