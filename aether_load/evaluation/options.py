"""Read `--model_args`: the runtime, and how it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from aether_load.errors import UsageError
from aether_load.redaction import HIDDEN, REDACTOR
from aether_load.scenario.command_line.headers import hidden, parse_header
from aether_load.scenario.duration import Seconds, parse_duration
from aether_load.scenario.validation import Strict, describe_mistake
from aether_load.tls import TlsSettings

_AUTO = "auto"
_UNSAID_BATCH_SIZE = 1
"""What lm-eval passes when no batch size was given; a size from its command line is a text."""


class StubOptions(Strict, frozen=True, kw_only=True):
    """The model's arguments; durations in seconds, `num_concurrent` requests in flight.

    `max_tokens` bounds the answer to a question with lettered options; `max_gen_toks` bounds generated text where
    the task does not say it. `max_retries` is how often a request that cannot have run is sent again.
    """

    aether_url: str = "http://localhost:3000"  # address of the runtime
    model_name: str = "gpt-4o-mini"  # model of the LLM node
    num_concurrent: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 8  # requests in flight; `--batch_size` means the same
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.0  # temperature of the LLM node
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 16  # limit of output tokens for a letter
    # the same for generated text, where the task does not say
    max_gen_toks: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 256
    connect_timeout: Seconds = Seconds(5)  # limit for opening a connection
    request_timeout: Seconds = Seconds(30)  # limit for an answer
    # how often a request that cannot have run is sent again
    max_retries: Annotated[int, msgspec.Meta(ge=0, le=100)] = 3
    header: str | tuple[str, ...] = ()  # `Name: ${VARIABLE}`, sent with every request
    insecure: bool = False  # accept any TLS certificate
    ca_file: str | None = None  # authorities to trust, as PEM
    client_cert: str | None = None  # certificate that the client shows, as PEM
    client_key: str | None = None  # its key, as PEM
    server_metrics: bool = True  # false: the runtime has no /metrics
    results_dir: str = "results"  # folder of the results

    @property
    def tls(self) -> TlsSettings:
        """Return how TLS to the runtime is set up."""
        return TlsSettings(not self.insecure, self.ca_file, self.client_cert, self.client_key)

    @property
    def headers(self) -> dict[str, str]:
        """Return the extra headers by name, their `${NAME}` not yet filled in."""
        texts = (self.header,) if isinstance(self.header, str) else self.header
        return dict(parse_header(text) for text in texts)


def read_options(arguments: Mapping[str, Any], batch_size: object = None) -> StubOptions:
    """Return the options that `--model_args` and `--batch_size` say together; raises UsageError.

    `model` is taken for `model_name`, as other models of lm-eval call it.
    """
    raw = dict(arguments)
    model = raw.pop("model", None)
    if model is not None and str(raw.setdefault("model_name", model)) != str(model):
        raise UsageError(f"--model_args: model={model} and model_name={raw['model_name']} contradict each other.")
    for key in ("aether_url", "model_name", "results_dir"):
        # lm-eval reads each value as a number where it can; here a number is a name.
        if isinstance(raw.get(key), int | float):
            raw[key] = str(raw[key])
    in_flight = _in_flight(batch_size)
    if in_flight is not None and raw.setdefault("num_concurrent", in_flight) != in_flight:
        raise UsageError(
            f"--batch_size {batch_size} and --model_args num_concurrent={raw['num_concurrent']} contradict each "
            "other: both say how many requests are in flight; leave one away."
        )
    try:
        options = msgspec.convert(raw, StubOptions, dec_hook=lambda _, value: parse_duration(value))
    except msgspec.ValidationError as error:
        raise UsageError(f"--model_args: {describe_mistake(str(error), raw, StubOptions)}") from None
    for key in ("connect_timeout", "request_timeout"):
        if getattr(options, key) <= 0:
            raise UsageError(f"--model_args: {key} is 0; an answer needs time.")
    if not options.results_dir or "\0" in options.results_dir:
        raise UsageError("--model_args: results_dir is no name of a folder.")
    return options


def _in_flight(batch_size: object) -> int | None:
    """Return the number of requests in flight that a batch size asks for, None where it leaves that open."""
    if batch_size is None or batch_size == _UNSAID_BATCH_SIZE or str(batch_size).split(":")[0] == _AUTO:
        return None
    text = str(batch_size)
    if not text.isdigit() or int(text) < 1:
        raise UsageError(f"--batch_size {text}: expected a number of requests in flight, 1 or more, or auto.")
    return int(text)


def hide_header(arguments: dict[str, Any]) -> None:
    """Leave of a header in `--model_args`, which lm-eval writes into its results, only what may be written down."""
    given = arguments.get("header")
    if given is None:
        return
    texts = [given] if isinstance(given, str) else list(given)
    shown = [f"{name}: {value}" for name, value in hidden(dict(parse_header(text) for text in texts)).items()]
    arguments["header"] = shown[0] if isinstance(given, str) else shown


def hidden_model_args(command: list[str]) -> list[str]:
    """Return a command line as it may be written down: a header among the model's arguments is left out."""
    return [
        HIDDEN if '"header"' in word or "'header'" in word else REDACTOR.redact(_without_header(word))
        for word in command
    ]


def _without_header(word: str) -> str:
    before, name, after = word.partition("header=")
    if not name or (before and before[-1] not in ", "):
        return word
    rest = after.partition(",")
    return f"{before}{name}{HIDDEN}{rest[1]}{rest[2]}"
