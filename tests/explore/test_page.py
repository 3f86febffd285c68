"""The page of `rnncli explore` in a real browser: typed, clicked, and by the keyboard alone."""

import asyncio
import contextlib
import contextvars
import json
import threading
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from random_runs import ADDITION, PAIRS, TEXT, random_run

from rnncli.explore.app import explore_app
from rnncli.explore.explored_run import ExploredRun
from rnncli.serve.app import Limits
from rnncli.serve.server import Server, allowed_hosts, bind, url_of

pytestmark = pytest.mark.usefixtures("runtime")
MODEL = "{type: encoder_decoder, attention: dot, encoder: {units: 4}, decoder: {units: 4}}"
MODELS = {
    "pairs": (PAIRS, MODEL, 3),
    "other": (PAIRS, MODEL, 4),
    "sums": (ADDITION, "{type: encoder_decoder, encoder: {units: 70}, decoder: {units: 70}}", 3),
    "text": (TEXT, "{type: next_step, units: 4}", 3),
    "carries": (TEXT, "{type: next_step, units: 4, stateful: true}", 3),
    "copies": (PAIRS, MODEL.replace("dot", "dot, copy: pointer_generator"), 3),
}


ENCODER = {"array": "encoder/0/forward/h"}
HELD = {"unit": 1, "hold": {"encoder/0/forward/h": {"1": 0}}}
BESIDE = {"s": "abc", "a": "pairs", "b": "other", "panels": [HELD, {}]}
DRAWN = {"s": "12+3", "a": "sums", "panels": [{**ENCODER, **HELD, "path": True}, {}]}


@pytest.fixture(scope="module")
def url(browser, tmp_path_factory, runtime):
    """The address of a server in a thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("runs"))
        saved = {name: random_run(task, model, seed)[0] for name, (task, model, seed) in MODELS.items()}
    for values in saved["carries"].carried.values():
        values[:] = np.linspace(-1, 1, values.size).reshape(values.shape)
    runs = [ExploredRun(name, each) for name, each in saved.items()]
    started = threading.Event()
    server = Server(explore_app(runs, Limits(), allowed_hosts("127.0.0.1", ())), started.set)
    with bind("127.0.0.1", 0) as bound:
        running = threading.Thread(target=contextvars.Context().run, args=(asyncio.run, server.serve([bound])))
        running.start()
        assert started.wait(30)
        yield url_of(bound, "127.0.0.1")
        server.should_exit = True
        running.join(30)


@pytest.fixture(autouse=True)
def recorded(monkeypatch):
    """The held-out examples of runs that no training has recorded."""
    monkeypatch.setattr("rnncli.explore.held_out.recorded_examples", lambda saved: saved.task.splits()[1])


@pytest.fixture
def opened(browser, url):
    """Open the page with a view; at the end nobody may have complained, or have asked another server."""
    with contextlib.ExitStack() as stack:
        problems = []

        def open_page(view=None, width=1280, scheme="light"):
            context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
            stack.callback(context.close)
            page = context.new_page()
            page.on("console", lambda message: "status of 422" in message.text or problems.append(message.text))
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on(
                "request",
                lambda request: request.url.startswith((url, "data:", "blob:")) or problems.append(request.url),
            )
            page.goto(f"{url}/#{urllib.parse.quote(json.dumps(view or {}))}")
            return page

        yield open_page
        assert problems == []


def asked(url, **body):
    """The API's own answer."""
    request = urllib.request.Request(
        f"{url}/api/trace", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def ask(page, source):
    page.get_by_label("Source").fill(source)
    page.keyboard.press("Enter")
    page.wait_for_selector(".heat[role=grid]")


def test_what_is_shown_is_what_the_server_says(opened, url):
    page, wanted = opened(), asked(url, source="abc")
    ask(page, "abc")
    assert page.locator("p.answer").inner_text() == wanted["prediction"]
    assert page.locator(".steps tbody th").all_inner_texts() == [step["symbol"] for step in wanted["steps"]]
    shown = page.locator(".steps tbody td:nth-child(2)").all_inner_texts()
    assert shown == [f"{step['probability']:.4f}" for step in wanted["steps"]]
    assert page.locator(".attention thead th").all_inner_texts() == ["a", "b", "c"]
    titles = (
        page.locator(".heat[role=grid] tbody tr")
        .nth(2)
        .locator("td")
        .evaluate_all("cells => cells.map(c => c.title)")
    )
    values = [float(title.rpartition(": ")[2]) for title in titles]
    assert values == pytest.approx([row[2] for row in wanted["arrays"]["decoder/0/forward/h"]], abs=1e-4)


def test_another_symbol_is_chosen_and_undone(opened, url):
    page = opened({"s": "abc"})
    page.wait_for_selector(".steps")
    before = page.locator("p.answer").inner_text()
    other = page.locator(".steps tbody tr").first.locator("button").nth(1)
    symbol = other.inner_text().split()[0]
    other.click()
    page.wait_for_selector("text=Undo all changes")
    wanted = asked(url, source="abc", prefix=[symbol])
    assert page.locator("p.answer").inner_text() == wanted["prediction"]
    assert f"Without changes: {before}" in page.locator(".panel").inner_text()
    page.get_by_role("button", name="Undo all changes").click()
    page.wait_for_selector("text=Undo all changes", state="detached")
    assert page.locator("p.answer").inner_text() == before


def test_a_unit_is_found_and_set_to_zero_by_the_keyboard_alone(opened, url):
    page = opened()
    page.wait_for_function("document.activeElement.id === 'source'")
    page.keyboard.type("abc")
    page.keyboard.press("Enter")
    page.wait_for_selector(".heat[role=grid]")
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.unit") is not None:
            break
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.get_by_role("heading", name="Unit 1 of decoder/0/forward").is_visible()
    assert page.evaluate("document.activeElement.dataset.unit") == "1"
    page.keyboard.press("z")
    page.wait_for_selector("text=Let the unit go")
    hold = {"decoder/0/forward/h": {"1": 0}, "decoder/0/forward/c": {"1": 0}}
    assert (
        f"{asked(url, source='abc', hold=hold)['score']:.3f}"
        in page.locator(".note", has_text="log probability").first.inner_text()
    )
    assert page.locator("tr.held th").inner_text() == "1"


def test_a_state_is_held_at_a_value_and_let_go(opened, url):
    page = opened({"s": "abc", "panels": [{"unit": 2, "array": "encoder/0/forward/c"}, {}]})
    page.get_by_label("Value of c").fill("0.5")
    page.get_by_role("button", name="Hold it after every step").click()
    page.wait_for_selector("text=encoder/0/forward unit 2 c is 0.5: let go")
    wanted = asked(url, source="abc", hold={"encoder/0/forward/c": {"2": 0.5}})
    assert f"{wanted['score']:.3f}" in page.locator(".note", has_text="log probability").first.inner_text()
    page.get_by_role("button", name="Set all units of encoder/0/forward/c to zero").click()
    page.get_by_role("button", name="encoder/0/forward unit 3 is zero: let go").click()
    page.wait_for_selector("text=encoder/0/forward unit 3 is zero", state="detached")
    assert page.locator("tr.held th").all_inner_texts() == ["0", "1", "2"]


def test_the_path_of_a_state_is_drawn_and_comes_back_with_the_address(opened):
    page = opened({"s": "12+3", "a": "sums", "panels": [{**ENCODER, "hold": {ENCODER["array"]: {"0": 0}}}, {}]})
    page.get_by_role("button", name="Draw it in the plane of largest variance").click()
    page.wait_for_selector("svg[aria-label^=Path]")
    assert sorted(page.locator("svg[aria-label^=Path] text").all_text_contents()) == sorted("12+3" * 2)
    assert page.locator("svg[aria-label^=Path] polyline").count() == 2
    again = opened(json.loads(urllib.parse.unquote(page.url.partition("#")[2])))
    again.wait_for_selector("svg[aria-label^=Path]")


def test_the_address_brings_the_view_back(opened):
    page = opened(
        {"s": "abc", "a": "pairs", "b": "other", "panels": [{"unit": 2, "array": "encoder/0/forward/c"}, {}]}
    )
    page.wait_for_selector(".heat[role=grid]")
    assert page.locator(".panel").count() == 2
    assert page.locator("#array0").input_value() == "encoder/0/forward/c"
    assert page.get_by_role("heading", name="Unit 2 of encoder/0/forward").is_visible()
    page.locator("#array0").select_option("encoder/0/forward/forget_gate")
    again = opened(json.loads(urllib.parse.unquote(page.url.partition("#")[2])))
    again.wait_for_selector(".heat[role=grid]")
    assert again.locator("#array0").input_value() == "encoder/0/forward/forget_gate"


def test_an_error_is_shown_and_a_hostile_source_is_text(opened):
    page = opened({"s": "<img src=x onerror=alert(1)>"})
    assert page.get_by_role("alert").inner_text()
    assert page.locator("img").count() == 0


def test_many_units_are_shown_in_parts_and_saved(opened):
    page = opened({"s": "12+3", "a": "sums"})
    page.wait_for_selector(".heat[role=grid]")
    assert page.locator(".heat[role=grid] tbody tr").count() == 64
    page.get_by_role("button", name="Units after").click()
    assert page.locator(".heat[role=grid] tbody th").all_inner_texts() == [str(unit) for unit in range(64, 70)]
    with page.expect_download() as picture:
        page.get_by_role("button", name="Save picture").click()
    assert Path(picture.value.path()).read_text().count("<rect") > 6
    with page.expect_download() as data:
        page.get_by_role("button", name="Save data").click()
    assert json.loads(Path(data.value.path()).read_text())["source"] == "12+3"


def test_a_unit_is_found_in_held_out_examples(opened):
    page = opened({"s": "12+3", "a": "sums", "panels": [{"array": "encoder/0/forward/h", "unit": 1, "step": 2}]})
    page.get_by_role("button", name="Find it in held-out examples").click()
    page.wait_for_selector(".contexts")
    assert page.locator(".contexts").count() == 2
    assert page.locator(".contexts").first.locator("mark").count() == 8
    assert page.get_by_role("heading", name="Steps most like step 3").is_visible()


def test_a_text_goes_on(opened):
    page = opened({"s": "ab", "a": "text"})
    page.get_by_label("Symbols", exact=True).fill("25")
    page.get_by_role("button", name="Write on").click()
    page.wait_for_selector(".written:not([hidden])")
    assert page.locator(".written b").inner_text() == "ab"
    assert len(page.locator(".written").inner_text()) >= 20


@pytest.mark.parametrize(
    ("width", "scheme", "back", "view", "wanted"),
    [
        (1280, "light", "rgb(255, 255, 255)", BESIDE, ".heat[role=grid]"),
        pytest.param(390, "dark", "rgb(13, 17, 23)", DRAWN, "svg[aria-label^=Path]", marks=pytest.mark.long),
    ],
)
def test_the_page_fits_and_passes_the_rules_of_axe(browser, url, width, scheme, back, view, wanted):
    axe = pytest.importorskip("axe_playwright_python", reason="the package axe-playwright-python is not installed")
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(f"{url}/#{urllib.parse.quote(json.dumps(view))}")
    page.wait_for_selector(wanted)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == back
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate("axe.run()")
    context.close()
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []


def test_the_row_of_carried_states_is_chosen(url, opened):
    page = opened({"s": "abc", "a": "carries"})
    of_zeros = page.locator("table.steps").inner_text()
    page.get_by_label("Start from the carried states").fill("3")
    page.keyboard.press("Enter")
    first = asked(url, run="carries", source="abc", row=3)["steps"][0]
    page.get_by_text(f"{first['probability']:.4f}").first.wait_for()
    assert page.locator("table.steps").inner_text() != of_zeros
    assert '"row":3' in urllib.parse.unquote(page.evaluate("location.hash"))
    page.locator("#a").select_option("text")
    page.get_by_text("next_step, lstm, task text").wait_for()
    assert page.get_by_role("alert").count() == 0, "it carries no states, and starts from zeros"
    assert "row" not in urllib.parse.unquote(page.evaluate("location.hash"))


def test_what_is_copied_is_told(url, opened):
    page = opened({"s": "abzz", "a": "copies"})
    steps = asked(url, run="copies", source="abzz")["steps"]
    shown = page.locator("table.steps tbody tr")
    shown.first.wait_for()
    assert [row.locator("td").nth(1).inner_text() for row in shown.all()] == [f"{s['copies']:.3f}" for s in steps]
