"""Hold users that wait to be activated, each class in the proportion of its weight."""

from __future__ import annotations

from typing import Any


class WaitingUsers:
    """Users by their kind; of each kind, who came last is given out first."""

    def __init__(self) -> None:
        self._of: dict[str, dict[Any, None]] = {}
        self._kinds: dict[Any, str] = {}
        self._weights: dict[str, float] = {}
        self._active: dict[str, int] = {}
        self._out: dict[Any, str] = {}
        self._retired: dict[Any, None] = {}
        self.unretired = 0
        """How many users wait that can be activated in this stage."""

    def __len__(self) -> int:
        return len(self._kinds)

    def add(self, user: Any, kind: str, weight: float) -> None:
        """Have a user wait."""
        self._weights[kind] = weight
        self._kinds[user] = kind
        if user not in self._retired:
            self._of.setdefault(kind, {})[user] = None
            self.unretired += 1

    def pop(self) -> Any:
        """Return the user that is activated next; there must be one."""
        kind = self._next_kind()
        user, _ = self._of[kind].popitem()
        self._went(user, kind)
        del self._kinds[user]
        self.unretired -= 1
        return user

    def _next_kind(self) -> str:
        kinds = [kind for kind, users in self._of.items() if users]
        if len(kinds) == 1:
            return kinds[0]
        return min(kinds, key=lambda kind: (self._active.get(kind, 0) + 1) / self._weights[kind])

    def may_go_at_once(self, user: Any, kind: str, weight: float) -> bool:
        """Take a user as activated that has just come, unless one of another kind that waits is to go before it."""
        if user in self._retired:
            return False
        self._weights[kind] = weight
        if self.unretired and (len(self._of) > 1 or kind not in self._of):
            self._of.setdefault(kind, {})[user] = None
            is_next = self._next_kind() == kind
            del self._of[kind][user]
            if not is_next:
                return False
        self._went(user, kind)
        return True

    def _went(self, user: Any, kind: str) -> None:
        if len(self._weights) > 1:
            self._out[user] = kind
            self._active[kind] = self._active.get(kind, 0) + 1

    def came_back(self, user: Any) -> None:
        """Take note that a user is not active any longer."""
        kind = self._out.pop(user, None)
        if kind is not None:
            self._active[kind] -= 1

    def discard(self, user: Any) -> bool:
        """Have a user wait no longer; False when it did not."""
        kind = self._kinds.pop(user, None)
        if kind is None:
            return False
        if user in self._of.get(kind, {}):
            del self._of[kind][user]
            self.unretired -= 1
        self._retired.pop(user, None)
        return True

    def retire(self, user: Any) -> None:
        """Keep a user from being activated until `add_retired`, from its next coming on."""
        self._retired[user] = None

    def is_retired(self, user: Any) -> bool:
        """Tell whether a user is kept from being activated."""
        return user in self._retired

    def add_retired(self) -> None:
        """Let those that were kept back be activated again."""
        retired, self._retired = self._retired, {}
        for user in retired:
            kind = self._kinds.get(user)
            if kind is not None:
                self._of.setdefault(kind, {})[user] = None
                self.unretired += 1
