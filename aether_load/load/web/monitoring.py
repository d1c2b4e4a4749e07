"""Everything that a Locust process shows of its runs: the Aether tab, the start form, the metrics' own port."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aether_load.load.web.exposition import Exposition, serve
from aether_load.load.web.live_state import Board
from aether_load.load.web.start_form import Busy, StartForm

if TYPE_CHECKING:
    from gevent.pywsgi import WSGIServer

    from aether_load.load.session import Session


class Shown:
    """The board, and what serves it; a process that shows nothing has none and pays nothing."""

    def __init__(self, board: Board, server: WSGIServer | None) -> None:
        self.board = board
        self._server = server

    @classmethod
    def of(
        cls, environment: Any, session: Session, *, busy: Callable[[], Busy], has_senders: Callable[[], bool]
    ) -> Shown | None:
        """Return what this process is to show, if anything; raises UsageError for a port that cannot be had."""
        options, web_ui = environment.parsed_options, environment.web_ui
        if web_ui is None and options.metrics_port is None:
            return None
        board = Board()
        exposition = Exposition(board)
        server = None
        if options.metrics_port is not None:
            server = serve(exposition, "" if options.web_host == "*" else options.web_host, options.metrics_port)
        if web_ui is not None:
            # Only with a page: Flask and its kind are not loaded into a process that has none.
            from aether_load.load.web.tab import add_aether_tab, check_before_start  # noqa: PLC0415

            check_before_start(web_ui, StartForm(session, options, busy=busy, has_senders=has_senders))
            add_aether_tab(web_ui, board, exposition)
        environment.events.reset_stats.add_listener(lambda **_: board.reset())
        return cls(board, server)

    def end(self) -> None:
        """Serve nothing further."""
        if self._server is not None:
            self._server.stop()
