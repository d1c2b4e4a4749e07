"""Add the Aether tab to Locust's own page, and guard every route of that page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from typing import Any

import gevent
from flask import Blueprint, Response, jsonify, request, send_file, send_from_directory
from flask_login import current_user
from locust.argument_parser import ui_extra_args_dict
from locust.runners import STATE_INIT, STATE_RUNNING, STATE_SPAWNING, STATE_STOPPED
from markupsafe import escape
from werkzeug.datastructures import ImmutableMultiDict

from aether_load.errors import AetherLoadError
from aether_load.load.web.downloads import find_download
from aether_load.load.web.exposition import CONTENT_TYPE
from aether_load.load.web.guard import Guard, Request
from aether_load.load.web.live_view import LiveView
from aether_load.load.web.start_form import StartForm, for_locust
from aether_load.outputs.charts.chart import DARK, LIGHT
from aether_load.redaction import sentence_of
from aether_load.rundata.folder import RunFolder

_BEGIN_LIMIT_S = 90.0
_AT_REST = {STATE_INIT, STATE_STOPPED}
_PAGE = Path(__file__).parent / "page"
_STATIC = frozenset(path.name for path in _PAGE.iterdir())
_SCRIPT_IN_LOCUSTS_PAGE = '<script type="module" src="./aether/static/tab.js" data-headers="{}"></script></body>'
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
_MAY_BE_OPENED = frozenset(["locust.index", "locust.login", "aether.page"])
_BLUEPRINTS = ("locust", "aether")
_REPORT_POLICY = "sandbox allow-scripts allow-downloads"
"""A report runs its own script for its charts, in an origin that is not this page's."""


def _rule(selector: str, colours: Mapping[str, str]) -> str:
    return f"{selector} {{ {' '.join(f'{name}: {value};' for name, value in colours.items())} }}\n"


_COLOURS = (
    _rule(":root", LIGHT)
    + "@media (prefers-color-scheme: dark) { " + _rule(":root", DARK) + "}\n"
    + _rule(":root[data-theme=light]", LIGHT)
    + _rule(":root[data-theme=dark]", DARK)
)  # fmt: skip
"""The colours of the report's page; Locust's own switch between light and dark wins over the system's."""


def guard_every_route(web_ui: Any, guard: Guard) -> None:
    """Have `guard` look at each request before Locust, a login or a route of ours does."""

    def check() -> Response | None:
        given = request.headers
        refusal = guard.refusal(
            Request(
                method=request.method,
                host=given.get("Host"),
                origin=given.get("Origin"),
                site=given.get("Sec-Fetch-Site"),
                mode=given.get("Sec-Fetch-Mode"),
                destination=given.get("Sec-Fetch-Dest"),
                # A locustfile's own routes take part in a login, which ends on another page.
                may_be_opened=request.endpoint in _MAY_BE_OPENED or request.blueprint not in _BLUEPRINTS,
            )
        )
        return None if refusal is None else Response(f"{refusal}\n", HTTPStatus.FORBIDDEN, mimetype="text/plain")

    web_ui.app.before_request_funcs.setdefault(None, []).insert(0, check)
    web_ui.app.after_request(_keep_to_itself)


def _keep_to_itself(answer: Response) -> Response:
    """Let no other page read an answer or show it in a frame.

    Locust lets every page of the web read its routes, unless an origin is named already.
    """
    answer.headers["Access-Control-Allow-Origin"] = f"{request.scheme}://{request.headers.get('Host', '')}"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers.setdefault("Content-Security-Policy", "frame-ancestors 'self'")
    answer.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    return answer


def add_aether_tab(web_ui: Any, live_view: LiveView, about_headers: Callable[[], str | None]) -> None:
    """Add the tab and its routes; each asks for the login that Locust's own ask for, where there is one.

    `about_headers` returns what the start form says of the command line's headers.
    """
    prefix = web_ui.environment.parsed_options.web_base_path or ""
    routes = Blueprint("aether", __name__, url_prefix=f"{prefix}/aether")
    for path, endpoint, view in (
        ("/", "page", lambda: send_from_directory(_PAGE, "index.html")),
        ("/static/colours.css", "colours", lambda: Response(_COLOURS, mimetype="text/css")),
        ("/static/<name>", "static", _static),
        ("/live", "live", lambda: _told(lambda: live_view.ask("snapshot"), "application/json")),
        ("/history", "history", lambda: _told(lambda: live_view.ask("history"), "application/json")),
        ("/metrics", "metrics", lambda: _told(lambda: live_view.ask("metrics"), CONTENT_TYPE)),
        ("/runs/<id_>/<name>", "download", lambda id_, name: _download(live_view.folders.get(id_), name)),
    ):
        routes.add_url_rule(path, endpoint, web_ui.auth_required_if_enabled(view))
    routes.after_request(_load_nothing_from_elsewhere)
    web_ui.app.register_blueprint(routes)
    web_ui.app.after_request(lambda answer: _with_script(answer, about_headers() or ""))
    web_ui.app.after_request(lambda answer: _with_users(answer, live_view.users_sending))
    web_ui.template_args.setdefault("extended_tabs", []).append({"title": "Aether", "key": "aether"})


def _static(name: str) -> Response:
    if name not in _STATIC:
        return Response("There is no such file.\n", HTTPStatus.NOT_FOUND)
    return send_from_directory(_PAGE, name)


def _download(folder: RunFolder | None, name: str) -> Response:
    """Return a file of a run's folder; a report is shown unless the request asks for a download."""
    found = find_download(folder, name) if folder is not None else None
    if found is None:
        # Not abort(): behind a login Locust takes whatever is raised for a fault of the login.
        return Response("There is no such file of a run of this process.\n", HTTPStatus.NOT_FOUND)
    shown = name == "report.html" and "download" not in request.args
    answer = send_file(found.path, mimetype=found.type, as_attachment=not shown, download_name=found.name, max_age=0)
    if shown:
        answer.headers["Content-Security-Policy"] = _REPORT_POLICY
    return answer


def check_before_start(web_ui: Any, form: StartForm) -> None:
    """Have the start form checked before Locust starts: what is wrong is said where Locust says what it refuses.

    A stop waits until what was started before it has begun: Locust takes no note of one that comes earlier.
    """

    def check() -> Response | None:
        if web_ui.web_login and not current_user.is_authenticated:
            return None
        if request.endpoint == "locust.stop":
            _wait_until_begun(web_ui.environment.runner, form)
        if request.endpoint != "locust.swarm":
            return None
        try:
            form.check(request.form)
        except AetherLoadError as error:
            return jsonify({"success": False, "message": sentence_of(error), "host": web_ui.environment.host})
        request.form = ImmutableMultiDict(for_locust(request.form.items(multi=True), ui_extra_args_dict()))
        return None

    web_ui.app.before_request(check)


def _wait_until_begun(runner: Any, form: StartForm) -> None:
    deadline = monotonic() + _BEGIN_LIMIT_S
    # Locust enters a load in its books a moment after we have begun it.
    while form.busy == "starting" or (form.busy == "running" and runner.state in _AT_REST):
        if monotonic() > deadline:
            return
        gevent.sleep(0.01)


def _told(tell: Callable[[], bytes], content_type: str) -> Response:
    """Return what the observer tells, or 503 with a sentence where it is gone."""
    try:
        return Response(tell(), content_type=content_type)
    except AetherLoadError as error:
        return Response(f"{sentence_of(error)}\n", HTTPStatus.SERVICE_UNAVAILABLE, content_type="text/plain")


def _load_nothing_from_elsewhere(answer: Response) -> Response:
    """Let an answer of ours load nothing from elsewhere, and keep it out of every cache."""
    answer.headers.setdefault("Content-Security-Policy", _POLICY)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _with_script(answer: Response, about_headers: str) -> Response:
    """Have Locust's page load the script that shows ours in the tab: its own tabs can hold a table and no chart."""
    if request.endpoint == "locust.index" and answer.status_code == HTTPStatus.OK and answer.mimetype == "text/html":
        html = answer.get_data()
        place = html.rfind(b"</body>")
        if place >= 0:
            script = _SCRIPT_IN_LOCUSTS_PAGE.format(escape(about_headers)).encode()
            answer.set_data(html[:place] + script + html[place + len(b"</body>") :])
    return answer


def _with_users(answer: Response, sending: int | None) -> Response:
    """Have Locust's header say how many users send: it counts those that it has spawned, also while they stand idle."""
    if sending is not None and request.endpoint == "locust.request_stats" and answer.is_json:
        stats = answer.get_json()
        if stats.get("state") in {STATE_RUNNING, STATE_SPAWNING}:
            answer.set_data(jsonify(stats | {"user_count": sending}).get_data())
    return answer
