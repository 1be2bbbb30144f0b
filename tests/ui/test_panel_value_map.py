"""The value map and the replay buffer in a browser: maps over time, backups of cells by mouse and keys."""

import pytest

import rlgen

pytestmark = pytest.mark.slow  # seconds each in Chromium; the actions behind the panel have tests of their own
AGENT = {"buffer_size": 300, "learning_starts": 50, "width": 8, "final_episodes": 1, "eval_episodes": 1}
PLAN = {"budget": 400, "eval_every": 200, "save_every": 400, "threads": 1, "progress": False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with short runs of a table and of a Q-network with prioritised replay."""
    runs = tmp_path_factory.mktemp("runs")
    rlgen.train("qlearning", "FrozenLake", runs=runs, name="lake", final_episodes=1, **PLAN)
    rlgen.train("dqn", "CartPole", runs=runs, name="pole", alpha=0.5, **AGENT, **PLAN)
    return runs


def opened(open_page, runs, panel, run):
    page = open_page(runs, f"runs={run}&open={panel}%40{run}")
    page.find(".panel")
    return page


def answered(page, text):
    """Wait for a line of the panel that holds `text`; the process of the panels imports torch first."""
    for _ in range(3):
        try:
            page.wait(lambda: text in page.text(".panel"), text)
            return
        except pytest.fail.Exception:
            continue
    pytest.fail(f"no {text!r} in {page.text('.panel')!r}")


def test_a_map_of_a_lake_at_every_age_and_the_backup_of_a_cell(open_page, trained):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    page = opened(open_page, trained, "value_map", "lake")
    answered(page, "Weights at 416 steps")
    assert [title.strip() for title in page.texts(".panel figure h3")] == [
        "V(s), learned", "V*(s), exact", "V(s) − V*(s)", "visits",
    ]  # fmt: skip
    assert "optimal in" in page.text(".panel")
    canvas = page.find(".panel canvas")
    page.js("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", canvas)
    ActionChains(page.driver, duration=0).move_to_element_with_offset(canvas, 20, 20).click().perform()
    answered(page, "Bellman backup at row 2, column 2")
    assert len(page.all(".panel tbody tr")) == 4
    page.find(".panel canvas").send_keys(Keys.ARROW_UP)
    answered(page, "Bellman backup at row 1, column 2")
    page.find(".panel canvas").send_keys(Keys.ARROW_LEFT)
    answered(page, "Bellman backup at row 1, column 1")
    answered(page, "No step starts in this state")  # a hole: an episode ends there
    page.js("rlgen.view.follow(false, 10)")
    answered(page, "Weights at 0 steps")


def test_a_map_of_two_numbers_and_the_others_by_sliders(open_page, trained):
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select

    page = opened(open_page, trained, "value_map", "pole")
    answered(page, "No V*")
    selects = page.all(".panel select")
    shown = [Select(each).first_selected_option.text for each in selects]
    assert shown == ["pole angle (rad)", "pole angular velocity (rad/s)"]

    def picture():
        return page.js("return document.querySelector('.panel canvas').toDataURL()")

    before = picture()
    page.find(".panel input[type=range]").send_keys(Keys.HOME)
    page.wait(lambda: picture() != before, "another map")
    Select(selects[0]).select_by_visible_text("cart position (m)")
    page.wait(lambda: "cart position (m)" in page.text(".panel figure"), "the other axis")
    page.click(".panel canvas")
    answered(page, "Bellman backup at cart position")
    assert len(page.all(".panel tbody tr")) == 2


def test_the_most_surprising_transitions(open_page, trained):
    page = opened(open_page, trained, "replay", "pole")
    answered(page, "Most surprising transitions")
    errors = [abs(float(text.replace("−", "-"))) for text in page.texts(".panel tbody th")]
    assert len(errors) == 10
    assert errors == sorted(errors, reverse=True)
    assert "Drawn in proportion to priority^0.5" in page.text(".panel")
    assert len(page.all(".panel canvas")) == 4
    page.click(".panel .chip")
    answered(page, "Most surprising transitions")


def test_a_table_has_no_panel_of_a_replay_buffer(open_page, trained):
    page = open_page(trained, "runs=lake")
    page.wait(lambda: "Value map" in page.text("#explore"), "the panels")
    assert "Replay" not in page.text("#explore")
