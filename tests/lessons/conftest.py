"""A lesson of two autoencoders on digits: seconds in total."""

import pytest

TEXT = """
title = "Wide codes"
claim = "A wider code has a smaller error."
minutes = 0.1
seeds = 2
text = "{{wide}} The errors are {{code-2.error}} and {{code-16.error}}, {{code-16.latent}} numbers, {{seeds}} seeds."

[[runs]]
name = "code-{{latent}}"
label = "{{latent}} numbers"
train = "ae digits"
options = {{ budget = 640, log-every = 128, eval-every = 320, save-every = 320, width = 8, depth = 1{options} }}
grid = {{ latent = [2, 16] }}

[values]
error = {{ label = "test error", metric = "eval_mse" }}
errors = {{ label = "test error", metric = "eval_mse", take = "curve" }}

[[panels]]
kind = "curves"
values = ["errors"]

[[panels]]
kind = "bars"
values = ["error"]

[[panels]]
kind = "lines"
values = ["error"]
x = "latent"

[findings.wide]
compare = "code-2.error - code-16.error"
more = "It is smaller by {{difference}}."
less = "It is larger by {{difference}}."
unclear = "Undecided: {{difference}}."

[quick]
minutes = 0.1
seeds = 1
options = {{ budget = 128 }}
"""


@pytest.fixture
def lesson(tmp_path):
    """Writes the lesson with parts replaced; returns its path."""

    def write(*changes, options=""):
        text = TEXT.format(options=options)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write
