"""The Aether tab in headless Chromium, on a real Locust: from the form to the downloads, quiet, and unharmed."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import Page, chromium, find_chromium
from pages import LocustPage, a_free_port
from processes import REPOSITORY, LocustProcess, running_simulator, wait_for

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium on this machine"),
]
EVIL = "<img src=x onerror=harm=1><script>harm=1</script>"
WITH_LOGIN = REPOSITORY / "tests" / "locustfiles" / "with_login.py"
FRAME = "document.getElementById('aether')?.contentDocument"
CHARTS = ["latency", "parts", "histogram", "rate", "flight", "shares"]
PICTURES = os.environ.get("AETHER_TAB_PICTURES")
"""A folder that the screenshots are kept in, where one is named."""


@pytest.fixture(scope="module")
def locust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocustPage]:
    """A Locust whose dataset's rows and whose runtime's answers hold HTML and script."""
    folder = tmp_path_factory.mktemp("locust")
    (folder / "rows.jsonl").write_text("".join(json.dumps({"q": f"{EVIL} {n}"}) + "\n" for n in range(30)))
    (folder / "evil.toml").write_text(
        """
[workload]
datasets = ["mine", "piqa"]
limit = 30
[workload.files.mine]
path = "rows.jsonl"
text = "q"
[[phases]]
passes = 1
unique_prompts = true
"""
    )
    port = a_free_port()
    with running_simulator("--answer", EVIL, "--latency", "lognormal:20ms,0.4") as runtime:
        options = ("--web-port", str(port), "--host", runtime.url, "--scenario", str(folder / "evil.toml"))
        process = LocustProcess(folder, (*options, "--header", "X-Key: s3cr3t-7e1f"), {})
        try:
            yield LocustPage(port)
        finally:
            process.process.kill()
            process.process.communicate()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


def button(text: str) -> str:
    return f"[...document.querySelectorAll('button')].find(b => b.textContent.trim().toLowerCase() == '{text}')"


def in_tab(expression: str) -> str:
    return f"(({FRAME}) ? ({expression.replace('$', f'({FRAME})')}) : null)"


def text_of(selector: str) -> str:
    return in_tab(f"$.querySelector({selector!r})?.textContent")


def is_unharmed(browser: Any) -> None:
    """Nothing that came from outside has become an element or run as a script, in Locust's page or in ours."""
    assert browser.evaluate("window.harm === undefined")
    assert browser.evaluate(in_tab("$.defaultView.harm === undefined"))
    assert browser.evaluate(in_tab("$.querySelectorAll('img').length + $.querySelectorAll('script').length")) == 1


def drawn(browser: Page) -> dict[str, int]:
    """Return how many points each chart shows."""
    return {name: int(browser.evaluate(in_tab(f"$.getElementById('{name}').dataset.points")) or 0) for name in CHARTS}


def start(browser: Page, users: str = "4") -> None:
    browser.wait_for("!!document.querySelector('input[name=userCount]')", "the start form")
    browser.write("document.querySelector('input[name=userCount]')", users)
    browser.write("document.querySelector('input[name=spawnRate]')", "100")
    browser.press("document.querySelector('button[type=submit]')")


def open_tab(browser: Page) -> None:
    browser.press("[...document.querySelectorAll('[role=tab]')].find(t => t.textContent.trim() == 'Aether')")
    browser.wait_for(in_tab("$.getElementById('latency')?.dataset.points > 2"), "charts in the tab")


@pytest.mark.slow
def test_from_the_form_to_the_downloads(locust: LocustPage, browser: Page, tmp_path: Path) -> None:
    """Refused, mended, started, watched, reset, stopped, started again, downloaded; the console stays silent."""
    browser.keep_downloads(tmp_path)
    browser.show(1400)
    browser.visit(locust.url)
    browser.wait_for("!!document.querySelector('input[name=userCount]')", "the start form")
    browser.wait_for("!!document.querySelector('select[name=scenario]')", "the custom parameters")
    top = "document.querySelector('{}').getBoundingClientRect().top"
    for later in ("input[name=userCount]", "[name=cache]"):
        browser.wait_for(f"{top.format('[name=scenario]')} < {top.format(later)}", "the scenario first")
    names = "[...document.querySelectorAll('form [name]')].map(field => [field.name, field.tagName])"
    fields = dict(browser.evaluate(names))
    assert {name: fields[name] for name in ("scenario", "dataset", "dag", "cache")} == dict.fromkeys(
        ("scenario", "dataset", "dag", "cache"), "SELECT"
    )
    assert {"limit", "dagNodes", "sequential"} <= set(fields)

    # The form says where secret headers do not go.
    note = browser.evaluate("document.getElementById('aether-headers').textContent")
    assert note.startswith("The headers of the command line (X-Key) are sent to http://127.0.0.1:")

    # A wrong value is a sentence in the page, and nothing starts.
    browser.write("document.querySelector('input[name=limit]')", "many")
    start(browser)
    browser.wait_for("document.body.textContent.includes(\"Limit: 'many' is no whole number\")", "the refusal")
    assert locust.live()["state"] == "ready"

    browser.write("document.querySelector('input[name=limit]')", "30")
    start(browser)
    # Nobody has to look for the tab: it is the first one, and shown.
    browser.wait_for(in_tab("$.getElementById('latency')?.dataset.points > 2"), "charts in the tab")
    leftmost = "[...document.querySelectorAll('[role=tab]')].sort((one, other) => one.getBoundingClientRect().left - "
    leftmost += "other.getBoundingClientRect().left)[0].textContent.trim()"
    assert browser.evaluate(leftmost) == "Aether"
    assert browser.evaluate(text_of("#pill")) == "running"
    assert "mine" in browser.evaluate(text_of("#what"))
    assert "mine" in browser.evaluate(text_of("#outcomes"))
    is_unharmed(browser)
    before = drawn(browser)
    first = browser.evaluate(text_of(".tile small"))
    browser.wait_for(f"{text_of('.tile small')} != {first!r}", "the numbers to move")
    browser.wait_for(in_tab(f"$.getElementById('rate').dataset.points > {before['rate'] + 1}"), "the charts to grow")
    assert browser.evaluate(in_tab("$.querySelectorAll('#parts svg .area').length")) >= 2
    assert browser.evaluate(in_tab("$.querySelectorAll('#histogram svg .bar').length")) == 24
    assert browser.evaluate(in_tab("$.querySelectorAll('#latency svg .line').length")) == 4
    assert "agrees so far" in browser.evaluate(text_of("#tiles"))
    assert "simulated_target" in browser.evaluate(text_of("#warnings"))

    # Reset: fewer points than before, and growing again.
    most = drawn(browser)["rate"]
    browser.press(button("reset"))
    browser.wait_for(in_tab(f"$.getElementById('rate').dataset.points < {most}"), "the charts to begin anew")
    browser.wait_for(in_tab("$.getElementById('rate').dataset.points > 1"), "the charts to grow again")

    browser.press(button("stop"))
    browser.wait_for(f"{text_of('#pill')} == 'ended'", "the end")
    browser.wait_for(f"{text_of('#runs')}.includes('passed; trusted')", "the results")
    is_unharmed(browser)
    run_id = locust.live()["run"]["id"]

    assert browser.console == []

    # Locust keeps its own statistics for two seconds, and its page takes the state in them for the present one.
    wait_for(lambda: locust.json("/stats/requests")["state"] == "stopped", "Locust to say that it stopped")
    # Opened anew it shows the run that ended; started again from the page, it is another run.
    browser.visit(f"{locust.url}/?tab=aether")
    browser.wait_for(f"({text_of('#runs')} ?? '').includes({run_id!r})", "the run that ended")
    browser.press(button("new"))
    start(browser, "2")
    browser.wait_for(f"({text_of('#pill')} ?? '') == 'running'", "the second run")
    browser.wait_for(in_tab("$.getElementById('rate').dataset.points > 1"), "points of the second run")
    assert locust.live()["run"]["id"] != run_id

    browser.press(in_tab(f"$.querySelector('a[href=\"runs/{run_id}/nightly.json\"]')"))
    saved = tmp_path / f"{run_id}-nightly.json"
    wait_for(saved.is_file, "the download")
    assert json.loads(saved.read_bytes())["run"]["id"] == run_id
    is_unharmed(browser)
    assert browser.console == []
    elsewhere = [url for url in browser.requests if not url.startswith((locust.url, "data:", "blob:"))]
    assert elsewhere == []
    browser.press(button("stop"))
    browser.wait_for(f"{text_of('#pill')} == 'ended'", "the end")


@pytest.mark.parametrize(
    ("width", "dark"),
    [
        pytest.param(400, False, id="400-light"),
        pytest.param(1400, True, id="1400-dark"),
        pytest.param(400, True, id="400-dark", marks=pytest.mark.slow),
        pytest.param(1400, False, id="1400-light", marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_it_fits_a_phone_and_a_desk_by_day_and_by_night(
    locust: LocustPage, browser: Page, tmp_path: Path, width: int, dark: bool
) -> None:
    """All charts are drawn, nothing runs over the edge, and its colours are those of the page around it."""
    browser.show(width, dark=dark)
    if locust.live()["state"] == "ready":
        locust.start()
        locust.wait_for_points(3)
    browser.visit(f"{locust.url}/?tab=aether")
    browser.wait_for(in_tab("$.getElementById('latency')?.dataset.points > 0"), "charts in the tab")
    browser.wait_for(in_tab(f"$.documentElement.dataset.theme == '{'dark' if dark else 'light'}'"), "the colours")
    assert all(count > 0 for count in drawn(browser).values())
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate(in_tab("$.documentElement.scrollWidth <= $.defaultView.innerWidth"))
    paper = browser.evaluate(in_tab("$.defaultView.getComputedStyle($.documentElement).backgroundColor"))
    assert paper == ("rgb(21, 24, 29)" if dark else "rgb(255, 255, 255)")
    end = "document.getElementById('aether').clientHeight >= $.body.scrollHeight"
    browser.wait_for(in_tab(end), "the tab to be as high as what is in it")
    assert browser.console == []
    if PICTURES is not None:
        browser.picture(tmp_path / "tab.png")
        (tmp_path / "tab.png").replace(f"{PICTURES}/aether-tab-{width}-{'dark' if dark else 'light'}.png")


@pytest.mark.slow
def test_behind_a_login_it_works_as_it_does_without(tmp_path: Path, free_port: int, browser: Page) -> None:
    """Locust's login, its page and the tab, all of which the guard looks at."""
    options = ("--web-login", "--web-port", str(free_port), "--limit", "4")
    process = LocustProcess(tmp_path, options, {}, locustfile=WITH_LOGIN)
    try:
        page = LocustPage(free_port)
        browser.show(1400)
        browser.visit(page.url)
        browser.wait_for("!!document.querySelector('input[name=username]')", "the login")
        browser.write("document.querySelector('input[name=username]')", "ann")
        browser.write("document.querySelector('input[name=password]')", "anything")
        browser.press("document.querySelector('button[type=submit]')")
        start(browser)
        open_tab(browser)
        assert browser.evaluate(text_of("#pill")) == "running"
        browser.press(button("stop"))
        browser.wait_for(f"{text_of('#pill')} == 'ended'", "the end")
        assert browser.console == []
    finally:
        process.process.kill()
        process.process.communicate()
