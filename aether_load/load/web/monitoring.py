"""Set up what a Locust process shows of its runs: the Aether tab, the start form, the port for metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent.pywsgi import WSGIServer

from aether_load.load.session.session import Session
from aether_load.load.web.exposition import serve
from aether_load.load.web.guard import Guard
from aether_load.load.web.live_view import LiveView
from aether_load.load.web.start_form import Busy, StartForm


class Monitoring:
    """The live figures, and what serves them; a process that shows nothing has none."""

    def __init__(self, live: LiveView, server: WSGIServer | None) -> None:
        self.live = live
        self._server = server

    @classmethod
    def of(
        cls, environment: Any, session: Session, *, busy: Callable[[], Busy], has_senders: Callable[[], bool]
    ) -> Monitoring | None:
        """Return what this process is to show, if anything; raises UsageError for a port that cannot be had."""
        options, web_ui = environment.parsed_options, environment.web_ui
        if web_ui is None and options.prometheus_port is None:
            return None
        live = LiveView(session)
        guard = Guard(options.web_host, options.web_allowed_host or ())
        server = None
        if options.prometheus_port is not None:
            host = "" if options.web_host == "*" else options.web_host
            server = serve(lambda: live.ask("metrics"), host, options.prometheus_port, guard)
        if web_ui is not None:
            # Only with a page: Flask and its kind are not loaded into a process that has none.
            from aether_load.load.web.tab import add_aether_tab, check_before_start, guard_every_route  # noqa: PLC0415

            guard_every_route(web_ui, guard)
            check_before_start(web_ui, StartForm(session, options, busy=busy, has_senders=has_senders))
            add_aether_tab(web_ui, live, lambda: session.load.credentials.limits)
        environment.events.reset_stats.add_listener(lambda **_: live.reset())
        return cls(live, server)

    def end(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.stop()
