"""Define a prompt, and the identity of the dataset that it comes from."""

from __future__ import annotations

import msgspec

from aether_load.errors import UsageError


class Columns(dict[str, str]):
    """The texts of a row's columns by their names; to read one that nobody asked for is a UsageError."""

    def __missing__(self, name: str) -> str:
        raise UsageError(
            f"prompt.columns[{name!r}]: the rows were read without that column; name it in the scenario, as in "
            f'workload.columns = ["{name}"].'
        )


class Prompt(msgspec.Struct, frozen=True):
    """One row as text, options and the index of the right one (None where the row does not say).

    `id` is the dataset's name and the row's number in its split: stable for one revision of the data. `columns` are
    the texts of the columns that the scenario or the DAG asks for.
    """

    id: str
    dataset: str
    text: str
    options: tuple[str, ...] = ()
    gold: int | None = None
    columns: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Have the columns explain what is not among them."""
        msgspec.structs.force_setattr(self, "columns", Columns(self.columns))


class DatasetIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which data was sent: enough to fetch the same rows again.

    `revision` is the hub's commit, or `sha256:` and the digest of the files that were read.
    `rows_available` is None where another program chose the rows and did not say from how many.
    """

    name: str
    source: str
    location: str
    config: str | None
    split: str | None
    revision: str
    rows_available: int | None
    rows_used: int
