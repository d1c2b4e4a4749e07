"""Locust's page and ours obey no other web page, whichever route it asks for."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

import pytest

from aether_load.load.web.guard import Guard, Request
from aether_load.scenario.command_line.option_values import host_name
from flask_page import locust_web_ui

if TYPE_CHECKING:
    from flask.testing import FlaskClient

ELSEWHERE = "http://evil.example"
NAMES = ["load.example", "proxy.example:8443"]


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    """Locust's own web interface with our tab, behind the guard, in this process."""
    from aether_load.load.web.tab import guard_every_route

    web_ui = locust_web_ui()
    guard_every_route(web_ui, Guard("127.0.0.1", NAMES))
    # What a route does is not the guard's business, and some would start a load.
    for endpoint in web_ui.app.view_functions:
        web_ui.app.view_functions[endpoint] = lambda **_path: "done"
    made: FlaskClient = web_ui.app.test_client()
    return made


@pytest.fixture(scope="module")
def routes(client: FlaskClient) -> list[tuple[str, str]]:
    """Every method and path that the page has, and one that it has not."""
    found = [("GET", "/nowhere"), ("POST", "/nowhere")]
    for rule in client.application.url_map.iter_rules():
        path = re.sub("<[^>]*>", "x", str(rule))
        found += [(method, path) for method in sorted((rule.methods or set()) - {"HEAD"})]
    assert {"/swarm", "/stop", "/stats/reset", "/stats/requests", "/user", "/aether/live", "/aether/metrics"} <= {
        path for _, path in found
    }
    return found


def ask(client: FlaskClient, method: str, path: str, host: str = "localhost:8089", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.open(path, method=method, headers={"Host": host, **named})


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "rebound.example"},
        {"host": "rebound.example:8089", "Origin": "http://rebound.example:8089"},
        {"Origin": ELSEWHERE},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000", "Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"},
    ],
)
def test_no_route_answers_to_a_foreign_name_or_page(
    client: FlaskClient, routes: list[tuple[str, str]], headers: dict[str, str]
) -> None:
    """DNS rebinding by the name, a form or a script of another page by its origin; each with one sentence."""
    for method, path in routes:
        answer = ask(client, method, path, **headers)
        assert answer.status_code == 403, path
        assert answer.text.count("\n") == 1
        assert answer.headers["Access-Control-Allow-Origin"] not in {"*", ELSEWHERE, "null"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "127.0.0.1:8089"},
        {"host": "[::1]:8089"},
        {"host": "load.example"},
        {"host": "load.example:9"},
        {"Origin": "http://localhost:8089", "Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors"},
        {"Sec_Fetch_Site": "none", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"},
        {"host": "load.example", "Origin": "https://load.example"},
        {"Origin": "https://load.example"},
        {"Origin": "https://proxy.example:8443"},
    ],
)
def test_every_route_answers_to_the_page_itself_and_to_programs(
    client: FlaskClient, routes: list[tuple[str, str]], headers: dict[str, str]
) -> None:
    """The page's own scripts and forms, what is typed in, and curl, which says nothing of where it comes from."""
    for method, path in routes:
        assert ask(client, method, path, **headers).status_code != 403, path


def test_a_link_elsewhere_may_open_the_page_and_nothing_more(
    client: FlaskClient, routes: list[tuple[str, str]]
) -> None:
    """Neither may what it leads to change something, nor be read in a frame."""
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    gets = [path for method, path in routes if method == "GET"]
    opened = {path for path in gets if ask(client, "GET", path, **link).status_code != 403}
    assert opened == {"/", "/login", "/aether/", "/static/x", "/nowhere"}
    assert ask(client, "POST", "/swarm", **link).status_code == 403


def test_no_answer_can_be_framed_or_read_elsewhere(client: FlaskClient) -> None:
    """Locust's own answers allow every origin; behind the guard they name their own."""
    answer = ask(client, "GET", "/stats/requests")
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:8089"
    assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'self'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("host", "answers"),
    [
        ("localhost", True),
        ("LOCALHOST:1", True),
        ("10.0.0.5:8089", True),
        ("localhost.evil.example", False),
        ("evil.example#localhost", False),
        ("user@localhost", False),
        ("localhost:8089:1", False),
        ("127.0.0.1.", False),
        ("0.0.0.0", False),
        ("", False),
        (None, False),
    ],
)
def test_names_that_a_page_answers_to(host: str | None, answers: bool) -> None:
    """Loopback names and --web-host, written as a browser would."""
    assert (Guard("10.0.0.5", []).refusal(Request(host=host)) is None) is answers


@pytest.mark.parametrize("web_host", ["", "*", "0.0.0.0", "::"])
def test_a_page_on_every_interface_has_no_name_of_its_own(web_host: str) -> None:
    """What is open to others needs --web-allowed-host, and the refusal says so."""
    refusal = Guard(web_host, []).refusal(Request(host="load.example"))
    assert refusal is not None
    assert "--web-allowed-host NAME" in refusal
    assert Guard(web_host, ["load.example"]).refusal(Request(host="load.example:80")) is None


@pytest.mark.parametrize("text", ["http://load.example", "load.example/x", "a b", "", "*", "a:b"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no name of a host"):
        host_name(text)


def test_a_form_sets_no_option_of_the_command_line() -> None:
    """Locust would take every option from it: where results go, files to write, headers."""
    from aether_load.load.web.start_form import for_locust

    form = [("user_count", "1"), ("host", "h"), ("run_time", "1s"), ("limit", "3"), ("output", "/etc/x"),
            ("results_dir", "/"), ("header", "A: b"), ("csv_prefix", "/x"), ("my_own", "y")]  # fmt: skip
    assert for_locust(form, {"limit", "my_own"}) == [("user_count", "1"), ("host", "h"), ("my_own", "y")]
