"""The report in a real browser: sorted, searched and laid out."""

from pathlib import Path

import pytest
from answers import answer_sums
from run_files import write_run

from rnncli.report.data import ReportData
from rnncli.report.page import render
from rnncli.runs.directory import RunDir
from rnncli.runs.listing import describe_run
from rnncli.runs.metrics_log import read_metrics

SUMS = {"1+2": "4", "99+1": "100", "4+5": "90", "20+30": "5", "7+1": "9"}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    run = write_run(folder / "run", (0.1, 0.4, 0.5))
    data = ReportData([describe_run(run)], [read_metrics(RunDir(run))], [answer_sums(run, SUMS)])
    Path(folder / "report.html").write_text(render(data))
    return folder / "report.html"


def open_page(browser, file, width=1280, scheme="light"):
    """The page, and what it complains of or asks the network for."""
    page = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme).new_page()
    problems = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if request.url != file.as_uri() else None)
    page.goto(file.as_uri())
    return page, [each for each in problems if not each.startswith("data:")]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(("scheme", "back"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(13, 17, 23)")])
def test_the_page_fits_and_asks_for_nothing(browser, file, width, scheme, back):
    page, problems = open_page(browser, file, width, scheme)
    assert problems == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == back


def column(page, number):
    return page.locator(f"table.wrong tbody tr:visible td:nth-child({number})").all_inner_texts()


def test_wrong_answers_are_sorted_with_the_keyboard_and_searched(browser, file):
    page, _ = open_page(browser, file)
    assert column(page, 2) == ["1+2", "4+5", "20+30", "7+1"]
    head = page.get_by_role("button", name="source")
    head.focus()
    page.keyboard.press("Enter")
    assert column(page, 2) == ["1+2", "4+5", "7+1", "20+30"]
    assert page.locator("table.wrong th").nth(1).get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert column(page, 2) == ["20+30", "7+1", "4+5", "1+2"]
    page.get_by_role("button", name="edits").click()
    assert column(page, 5) == sorted(column(page, 5), key=int)
    page.get_by_label("Search in them").fill("30")
    assert column(page, 2) == ["20+30"]
    assert page.get_by_role("status").inner_text() == "1 of 4 rows"


def test_the_printed_page_shows_what_is_folded(browser, file):
    page, _ = open_page(browser, file)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = false; })")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#config").locator("..").locator("table").is_visible()


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_the_page_passes_the_rules_of_axe(browser, file, scheme):
    axe = pytest.importorskip("axe_playwright_python", reason="the package axe-playwright-python is not installed")
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate("axe.run()")
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []
