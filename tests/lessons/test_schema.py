import pytest

from rlgen.core.errors import UserError
from rlgen.lessons import schema
from rlgen.lessons.runner import load

ALL = schema.names()


@pytest.mark.parametrize("name", ALL)
def test_every_lesson_is_valid_in_both_versions(name):
    """Keys, options of commands, placeholders, panels: everything that can be checked before a training."""
    for quick in (False, True):
        made = load(schema.find(name), quick=quick)
        assert made.conditions
        assert made.seeds >= 1


@pytest.mark.parametrize("name", ALL)
def test_every_value_of_a_lesson_is_used(name):
    lesson = schema.read(schema.find(name))
    text = " ".join([lesson.text, *(f"{f.compare} {f.more} {f.less} {f.unclear}" for f in lesson.findings.values())])
    used = {value for panel in lesson.panels for value in panel.values}
    chosen = {each.choose.value for each in (*lesson.runs, *lesson.measurements) if each.choose}
    for value in lesson.values:
        assert value in used | chosen or f".{value}" in text, value
    for finding in lesson.findings:
        assert f"{{{finding}}}" in text, finding


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("minutes = 0.1\nseeds = 2", "minuts = 0.1\nseeds = 2", "unknown key 'minuts': did you mean minutes?"),
        ('label = "{latent} numbers"', "lable = 'x'", "unknown key 'runs.1.lable': did you mean label?"),
        ("seeds = 1", "seed = 1", "unknown key 'quick.seed': did you mean seeds?"),
        ('take = "curve"', 'takes = "curve"', "unknown key 'values.errors.takes': did you mean take?"),
        ('x = "latent"', 'z = "latent"', "unknown key 'panels.3.z'"),
        ('claim = "A wider code has a smaller error."\n', "", "the key 'claim' is missing"),
        ('kind = "bars"', 'kind = "pie"', "panels.2.kind"),
        ("seeds = 2", "seeds = 0", "seeds"),
        ("width = 8", "widht = 8", "has no setting 'widht': did you mean width?"),
        ("ae digits", "aa digits", "no algorithm 'aa'"),
        ("ae digits", "ae", "must be an algorithm and a task"),
        ("width = 8", "width = -8", "--width -8"),
        ("width = 8", "width = 8, beta = 2.0", "has no setting 'beta'"),
        ("depth = 1", "depth = 0", "--width has no effect"),
        ("ae digits", "ae digit", "did you mean digits?"),
        ("{code-2.error} and", "{code-3.error} and", "no condition 'code-3': did you mean code-2"),
        ("{code-2.error} and", "{code-2.eror} and", "no value 'eror': did you mean error?"),
        ("{code-2.error} and", "{code.error} and", "code has 2 conditions"),
        ("{code-2.error} and", "{nothing} and", "is not of the form condition.value"),
        ("code-2.error - code-16.error", "code-2.error + code-16.error", "is not of the form"),
        ('x = "latent"', 'x = "latnet"', "did you mean latent?"),
        ('values = ["error"]\nx', 'values = ["eror"]\nx', "did you mean error"),
        ('label = "{latent} numbers"', 'label = "{latnet}"', "did you mean latent?"),
    ],
)
def test_a_fault_is_one_line_with_the_key_and_the_file(lesson, old, new, said):
    with pytest.raises(UserError) as error:
        load(lesson((old, new)))
    assert said in str(error.value)
    assert "mine.toml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_toml_or_missing(tmp_path):
    (tmp_path / "bad.toml").write_text("a = ")
    with pytest.raises(UserError, match="is not valid TOML"):
        schema.read(tmp_path / "bad.toml")
    with pytest.raises(UserError, match="no lesson file"):
        schema.find(str(tmp_path / "none.toml"))
    with pytest.raises(UserError, match="did you mean replay"):
        schema.find("repaly")
    assert schema.find("Replay") == schema.find("replay")
