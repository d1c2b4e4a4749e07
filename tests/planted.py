"""Twelve secrets to be planted in a run, and the search for them in all that it leaves behind."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

PLANTED = {
    "header": "pl4nted-01/+header",
    "header behind =": "pl4nted-02",
    "environment": "pl4nted-03 with spaces",
    "scenario": 'pl4nted-04"quoted"',
    "scenario's environment": "pl4nted-05&<>",
    "set": "pl4nted-06",
    "set behind =": "pl4nted-07",
    "query of a URL": "pl4nted-08",
    "password of Basic": "pl4nted-09",
    "short": "p4-x!9z",
    "config file": "pl4nted-11",
    "set as a table": "pl4nted-12",
}


def forms_of(secret: Any) -> Iterator[Any]:
    """How a secret may look in a file: as it is, in URLs, in base64 at each of three places."""
    yield from {secret, quote(secret, safe=""), quote_plus(secret), secret.replace('"', '\\"')}
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + secret.encode()).decode()
        yield encoded[4 if shift else 0 : (shift + len(secret)) * 8 // 6]


def found_in(data: bytes) -> set[str]:
    """The names of the secrets that stand in some bytes."""
    return {name for name, secret in PLANTED.items() if any(form.encode() in data for form in forms_of(secret))}


def searched(folder: Path, *said: Any) -> dict[str, set[str]]:
    """The names of the secrets that stand in any file below a folder, in a file's name, or in what was said."""
    found = {str(path): found_in(path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
    found["names"] = found_in(" ".join(map(str, folder.rglob("*"))).encode())
    found |= {f"said {number}": found_in(text.encode()) for number, text in enumerate(said)}
    return {where: names for where, names in found.items() if names}
