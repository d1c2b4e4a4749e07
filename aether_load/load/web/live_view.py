"""Ask the observer for what the page shows."""

from __future__ import annotations

from typing import Literal

from aether_load.load.observer_client import ASK_LIMIT_S
from aether_load.load.phases.senders import Senders
from aether_load.load.session.session import Session
from aether_load.observer import messages as say
from aether_load.rundata.folder import RunFolder


class LiveView:
    """The runs of this process, as the observer knows them; only their folders are known here."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._senders: Senders | None = None
        self.folders: dict[str, RunFolder] = {}

    def follow(self, folder: RunFolder, senders: Senders) -> None:
        """Offer a run's files, and show how many of its users send from now on."""
        self.folders[folder.path.name] = folder
        self._senders = senders

    def ask(self, what: Literal["snapshot", "history", "metrics"]) -> bytes:
        """Return the latest figures or the points of all charts as JSON, or the figures in Prometheus's text format.

        Raises AetherLoadError where the observer is gone.
        """
        answer: say.PageData = self._session.observer.call(say.Ask(what=what), ASK_LIMIT_S)
        return answer.body

    @property
    def users_sending(self) -> int | None:
        """Return how many users send by now, None before the first run."""
        return None if self._senders is None else self._senders.tally().active

    def reset(self) -> None:
        """Begin the charts anew."""
        self._session.observer.send(say.Reset())

    def refuse(self, sentence: str) -> None:
        """Show why no run could begin."""
        self._session.observer.send(say.Refuse(sentence=sentence))
