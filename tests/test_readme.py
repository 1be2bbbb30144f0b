"""The README's recipes and Python, applied to the letter in a copy of the checkout."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
IGNORED = shutil.ignore_patterns(".git", "runs", "__pycache__", ".*_cache", "build", "dist")


def blocks(start):
    """Bodies of the code blocks whose first line is a comment that begins with `start`."""
    return [block.split("\n", 1) for block in BLOCKS if block.startswith(f"# {start}")]


def apply(checkout):
    """Every recipe of the README, in a copy of the checkout."""
    for line, body in blocks("append to "):
        path = checkout / line.removeprefix("# append to ")
        path.write_text(f"{path.read_text()}\n\n{body}")
    for line, body in blocks("add to CATALOG in "):
        path = checkout / line.removeprefix("# add to CATALOG in ")
        text = path.read_text()
        end = text.index("    )\n}", text.index("CATALOG = {"))
        path.write_text(text[:end] + body + text[end:])
    for line, body in blocks("add to NETWORKS in "):
        path = checkout / line.removeprefix("# add to NETWORKS in ")
        text = path.read_text()
        end = text.index("]  # fmt: skip", text.index("_ALL = ["))
        path.write_text(text[:end] + body + text[end:])
    for block in BLOCKS:
        line, body = block.split("\n", 1)
        if re.fullmatch(r"# \S+\.py", line):
            (checkout / line.removeprefix("# ")).write_text(body)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    copy = Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("readme") / "rlgen", ignore=IGNORED))
    apply(copy)
    return copy


COMMANDS = {
    "model": "independent-pixels digits --budget 2000",
    "options": "independent-pixels --help",
    "samples": "sample latest",
    "scores": "eval latest",
    "network": "classify digits --network allconv --budget 2000",
    "layers": "summary allconv",
    "agent": "expected-sarsa CartPole --budget 1500",
    "environment": "dqn my_games:Corridor-v0 --budget 1200 --eval-every 600 --final-episodes 3",
}
RUN = """
import io, json, sys
from contextlib import redirect_stdout, suppress
from rlgen.cli.main import app

said = {}
for name, words in json.loads(sys.argv[1]).items():
    with redirect_stdout(io.StringIO()) as out, suppress(SystemExit):
        app(words.split(), standalone_mode=False)
    said[name] = out.getvalue()
print(json.dumps(said))
"""


def run(checkout, *words):
    done = subprocess.run([sys.executable, *words], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def said(checkout):
    """What each command prints, one after another in one process."""
    return json.loads(run(checkout, "-c", RUN, json.dumps(COMMANDS)).splitlines()[-1])


def test_every_recipe_is_there():
    assert len(blocks("append to ")) == 1
    assert len(blocks("add to CATALOG in ")) == 2
    assert {line for line, _ in (block.split("\n", 1) for block in BLOCKS) if line.endswith(".py")} >= {
        "# rlgen/generative/independent_pixels.py",
        "# agents/expected_sarsa.py",
        "# my_games.py",
        "# rlgen/networks/allconv.py",
    }
    assert len(blocks("add to NETWORKS in ")) == 1


@pytest.mark.slow
def test_a_model_of_the_readme_trains_and_is_scored(said):
    assert "nats" in said["model"]
    assert "--initial-logit" in said["options"]
    assert ".png" in said["samples"]
    assert "lenet_fid" in said["scores"]


@pytest.mark.slow
def test_a_network_of_the_readme_trains(said):
    assert "accuracy" in said["network"]
    assert "parameters" in said["layers"]


@pytest.mark.slow
def test_an_agent_of_the_readme_trains(said):
    assert "mean return" in said["agent"]


@pytest.mark.slow
def test_an_environment_of_the_readme_is_trained_on(said):
    assert "mean return" in said["environment"]


@pytest.mark.slow
def test_resume_of_what_the_readme_adds_is_tested_without_a_further_case(checkout):
    names = "independent-pixels or expected-sarsa"
    words = ["-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "tests/test_resume.py", "-k", names]
    assert " passed" in run(checkout, *words, "-m", "")


def test_files_and_names_in_the_readme_exist():
    for path in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"`((?:agents|envs|rlgen|tests|runs)/[\w/.-]+)`", README):
        added = {line.removeprefix("# ") for line, _ in (block.split("\n", 1) for block in BLOCKS)}
        assert (ROOT / path).exists() or path in added, path


def test_options_in_the_readme_exist():
    """Every `rlgen ...` line of a shell block and of a table parses as far as its options."""
    from dataclasses import fields

    from rlgen.catalog import CATALOG
    from rlgen.core.settings import Plan, Setup

    shared = {"help", "preset", "runs", "name", "config", "quiet", "json", "fallback"}
    lines = re.findall(r"(?:^|`)rlgen ([\w-]+) ([^#`\n]*(?:\\\n[^#`\n]*)*)", README, re.MULTILINE)
    assert len(lines) > 30
    for command, words in lines:
        if command in CATALOG:
            known = {f.name.replace("_", "-") for s in (CATALOG[command].config, Plan, Setup) for f in fields(s)}
            for option in re.findall(r"--([\w-]+)", words):
                assert option.removeprefix("no-") in known | shared, f"rlgen {command} --{option}"


def test_python_of_the_readme_is_valid():
    for block in BLOCKS:
        ast.parse("CATALOG = (\n" + block + "\n)" if "# add to " in block else block)
