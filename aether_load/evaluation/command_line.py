"""Read what lm-eval's own command line asks for, from its words and from the YAML file that they may name."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from aether_load.errors import UsageError
from aether_load.evaluation.generation import PLACES
from aether_load.log_records import redact_log_records
from aether_load.redaction import REDACTOR

_KEY = re.compile(r"(?:^|,)\s*([A-Za-z_]\w*)\s*=")
_HEADER = re.compile(r"(?:^|,)\s*header\s*=([^,]*)")
_NOT_SENT = {
    "device": "the runtime decides where its model runs",
    "max_batch_size": "num_concurrent says how many requests are in flight",
}


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What a command line of lm-eval asks for that concerns the model: nulls where it says nothing."""

    output_path: str | None = None
    gen_kwargs: tuple[str, ...] = ()
    device: str | None = None
    max_batch_size: str | None = None

    @property
    def file(self) -> Path | None:
        """Return the JSON file that the results are wanted in; None for a folder."""
        return Path(self.output_path) if self.output_path and Path(self.output_path).suffix == ".json" else None

    def check(self) -> list[str]:
        """Return a warning for each option that changes nothing; raises UsageError for what cannot be sent."""
        lost = [key for key in self.gen_kwargs if key not in PLACES]
        if lost:
            raise UsageError(
                f"--gen_kwargs {', '.join(lost)}: not sent, because a request to the runtime has no place for it; "
                f"leave it away. There is one for {', '.join(PLACES)}."
            )
        return [
            f"--{name} {value} is not sent: {why}."
            for name, why in _NOT_SENT.items()
            if (value := getattr(self, name)) is not None
        ]


def read_command_line(arguments: Sequence[str]) -> Wishes:
    """Return what a command line of lm-eval asks for; the words win over the file that `--config` names."""
    known = _parsed(arguments)
    if known is None:
        return Wishes()
    said = _config(known.config)

    def wish(name: str) -> str | None:
        value = getattr(known, name) if getattr(known, name) is not None else said.get(name)
        return None if value is None else str(value)

    given = [known.gen_kwargs, said.get("gen_kwargs")]
    return Wishes(
        output_path=wish("output_path"),
        gen_kwargs=tuple(dict.fromkeys(key for value in given for key in _keys(value))),
        device=wish("device"),
        max_batch_size=wish("max_batch_size"),
    )


def learn_headers(arguments: Sequence[str]) -> None:
    """Have `REDACTOR` learn the headers in `--model_args` before lm-eval logs them, which it does before it asks us."""
    known = _parsed(arguments)
    if known is None:
        return
    redact_log_records()
    for given in (*known.model_args, _config(known.config).get("model_args")):
        for text in _headers_in(given):
            REDACTOR.learn_headers({"": text.partition(":")[2].strip()})


def _parsed(arguments: Sequence[str]) -> argparse.Namespace | None:
    """Return lm-eval's options that concern the model; None for a command line that lm-eval itself refuses."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--output_path", "-o")
    parser.add_argument("--config", "-C")
    parser.add_argument("--gen_kwargs", nargs="*")
    parser.add_argument("--device")
    parser.add_argument("--max_batch_size")
    parser.add_argument("--model_args", "-a", nargs="*", action="extend", default=[])
    try:
        return parser.parse_known_args(list(arguments))[0]
    except argparse.ArgumentError:
        return None


def _headers_in(given: Any) -> list[str]:
    """Return the headers among a model's arguments: a mapping, JSON, or `key=value,key=value`."""
    given = _from_json(given)
    if isinstance(given, Mapping):
        headers = given.get("header") or []
        return [headers] if isinstance(headers, str) else [text for text in headers if isinstance(text, str)]
    return _HEADER.findall(given) if isinstance(given, str) else []


def _from_json(given: Any) -> Any:
    """Return the mapping that a text of JSON holds (an empty one where it is broken), anything else as it is."""
    if not isinstance(given, str) or not given.lstrip().startswith("{"):
        return given
    try:
        return msgspec.json.decode(given)
    except msgspec.MsgspecError:
        return {}


def _config(path: str | None) -> Mapping[str, Any]:
    """Return what lm-eval's own YAML file says; nothing where it cannot be read, which lm-eval says itself."""
    if path is None:
        return {}
    import yaml  # noqa: PLC0415 -- comes with lm-eval

    try:
        said = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return said if isinstance(said, dict) else {}


def _keys(value: Any) -> list[str]:
    """Return the keys of generation arguments: a mapping, `key=value,key=value`, or words of it or of JSON."""
    value = _from_json(value)
    if isinstance(value, Mapping):
        return list(map(str, value))
    if isinstance(value, list):
        return [key for word in value for key in _keys(word)]
    return _KEY.findall(value) if isinstance(value, str) else []
