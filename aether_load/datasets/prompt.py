"""Define a prompt, and the identity of the dataset that it comes from."""

from __future__ import annotations

import msgspec


class Prompt(msgspec.Struct, frozen=True):
    """One row as text, options and the index of the right one (None where the row does not say).

    `id` is the dataset's name and the row's number in its split: stable for one revision of the data. `columns` are
    the texts of the columns that the scenario or the DAG asks for, None where neither asks for any.
    """

    id: str
    dataset: str
    text: str
    options: tuple[str, ...] = ()
    gold: int | None = None
    columns: dict[str, str] | None = None


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
