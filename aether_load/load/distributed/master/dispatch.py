"""Delay Locust's dispatch to a worker that joins during a load until that load is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from locust.dispatch import UsersDispatcher


def patient_dispatcher(may_work: Callable[[str], bool]) -> type[UsersDispatcher]:
    """Return a dispatcher class that gives users to those workers only that may work.

    Locust's own takes users from those that are sending as soon as another worker connects.
    """

    class PatientDispatcher(UsersDispatcher):
        def __init__(self, worker_nodes: list[Any], user_classes: list[Any]) -> None:
            super().__init__([], user_classes)
            self._aside = list(worker_nodes)

        def new_dispatch(
            self, target_user_count: int, spawn_rate: float, user_classes: list[Any] | None = None
        ) -> None:
            # Locust makes the dispatcher before it says that a test starts, which is when workers are waited for.
            if self._aside and not self._worker_nodes:
                super().__init__([node for node in self._aside if may_work(node.id)], self._original_user_classes)
            self._aside = []
            super().new_dispatch(target_user_count, spawn_rate, user_classes)

        def add_worker(self, worker_node: Any) -> None:
            """Leave it aside."""

        def spread_over(self, nodes: list[Any]) -> bool:
            """Spread the users over these from the next dispatch on; tell whether they were not spread so before."""
            known, wanted = {node.id: node for node in self._worker_nodes}, {node.id for node in nodes}
            for client in known.keys() - wanted:
                super().remove_worker(known[client])
            for node in nodes:
                if node.id not in known:
                    super().add_worker(node)
            return known.keys() != wanted or self._rebalance

    return PatientDispatcher


def spread_users(runner: Any, clients: Sequence[str]) -> bool:
    """Have Locust spread its users over the workers of these ids; tell whether it did not before."""
    # Locust's runner has no public way to its dispatcher, whose class is ours.
    dispatcher: Any = runner._users_dispatcher  # noqa: SLF001
    if dispatcher is None:
        return True
    return bool(dispatcher.spread_over([runner.clients[client] for client in clients if client in runner.clients]))
