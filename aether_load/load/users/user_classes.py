"""Look at the user classes of a locustfile: which are ours, which have tasks, and what the others have sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aether_load.errors import UsageError
from aether_load.rundata.manifest import UserClassRecord

if TYPE_CHECKING:
    from aether_load.load.users.aether_user import AetherUser


def is_ours(user_class: Any) -> bool:
    """Tell whether users of a class are AetherUsers; Locust need not be imported for it."""
    return bool(getattr(user_class, "is_aether_user", False))


def ours_among(classes: Iterable[Any]) -> list[type[AetherUser]]:
    """Return the classes whose users send by us."""
    return [each for each in classes if is_ours(each)]


def check_user_classes(environment: Any) -> None:
    """Raise UsageError where no class of ours would send, or any has lost all of its tasks to --tags: it would fail."""
    ours = ours_among(environment.user_classes)
    if not ours:
        names = ", ".join(sorted(each.__name__ for each in environment.user_classes))
        raise UsageError(
            f"Of the user classes that run ({names}) none is an AetherUser, so that nothing would be measured. Add a "
            "subclass of aether_load.AetherUser, or run this locustfile by Locust alone."
        )
    options = environment.parsed_options
    asked = "--tags" if options.tags else "--exclude-tags"
    environment._filter_tasks_by_tags()  # noqa: SLF001 -- Locust does it once, as late as the load begins
    for each in environment.user_classes if options.tags or options.exclude_tags else ():
        if not each.tasks:
            replays = is_ours(each) and not each.has_tasks
            what = "out, whose users send the prompts of the scenario" if replays else "without a task"
            raise UsageError(
                f"{asked} leaves {each.__name__} {what}. Name the class that is meant on the command line, or other "
                "tags."
            )


def user_class_records(environment: Any) -> list[UserClassRecord]:
    """Return what run.json says of the classes."""
    return [
        UserClassRecord(
            name=each.__name__,
            weight=float(each.weight),
            fixed_count=int(each.fixed_count),
            is_measured=is_ours(each),
            own_tasks=is_ours(each) and each.has_tasks,
        )
        for each in environment.user_classes
    ]


def our_users(runner: Any, users: int) -> int:
    """Return how many of so many users are ours, as far as Locust has decided that."""
    ours = {each.__name__ for each in ours_among(runner.user_classes)}
    if len(ours) == len(runner.user_classes):
        return users
    counts: dict[str, int] = runner.target_user_classes_count
    if sum(counts.values()) < users:
        # Locust tells when it has spawned all.
        return users
    return min(users, sum(count for name, count in counts.items() if name in ours))


def note_on_others(environment: Any, known_names: Iterable[str]) -> str | None:
    """Return a note on what users of other classes have sent, which no figure of ours holds."""
    others = [each.__name__ for each in environment.user_classes if not is_ours(each)]
    if not others:
        return None
    known = set(known_names)
    count = sum(entry.num_requests for entry in environment.stats.entries.values() if entry.name not in known)
    return (
        f"{count} requests of Locust's other user classes ({', '.join(sorted(others))}) are in Locust's own statistics "
        "and not in this report."
    )
