"""Ask a runtime documents from several threads, and record each answer as it comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from time import monotonic_ns

import msgspec

from aether_load.datasets.answer import LETTERS, parse_letter
from aether_load.datasets.prompt import Prompt
from aether_load.evaluation.request_log import RequestLog
from aether_load.evaluation.target import ANSWER_NODE, Exchange, Target, pause_before_retry
from aether_load.protocol import Outcome
from aether_load.redaction import REDACTOR
from aether_load.response import Execution, is_mock_output

STOP_LIMIT_S = 10.0
_NS = 1_000_000_000


class Reply(msgspec.Struct, frozen=True):
    """The result of a document's last attempt: the answer's text, None where there is none."""

    outcome: Outcome
    text: str | None
    reason: str | None = None
    mock: bool = False


class Asking:
    """Sends the documents of one call of lm-eval, `in_flight` at a time, and retries where that is safe."""

    def __init__(self, target: Target, log: RequestLog, *, in_flight: int, max_retries: int) -> None:
        self._target = target
        self._log = log
        self._in_flight = in_flight
        self._max_retries = max_retries
        self._stop = threading.Event()
        # Set when a document's attempts to connect are used up, so that the next ones do not wait for a dead target.
        self._target_is_gone = threading.Event()

    def ask(self, bodies: Sequence[bytes], first_prompt: int, on_reply: Callable[[], None]) -> list[Reply]:
        """Return a reply for each body, in order; `on_reply` is called in this thread after each.

        Interrupted, it lets those in flight finish for at most `STOP_LIMIT_S`, records the others as cancelled, and
        raises KeyboardInterrupt.
        """
        replies: list[Reply | None] = [None] * len(bodies)
        numbers = iter(range(len(bodies)))
        lock = threading.Lock()
        finished: SimpleQueue[int | BaseException] = SimpleQueue()

        def work() -> None:
            try:
                while not self._stop.is_set():
                    with lock:
                        number = next(numbers, None)
                    if number is None:
                        return
                    replies[number] = self._ask_one(first_prompt + number, bodies[number])
                    finished.put(number)
            except BaseException as defect:  # noqa: BLE001 -- it is raised again in the main thread
                finished.put(defect)

        threads = [
            threading.Thread(target=work, name=f"aether-load-{number}", daemon=True)
            for number in range(min(self._in_flight, len(bodies)))
        ]
        try:
            for thread in threads:
                thread.start()
            for _ in bodies:
                done = finished.get()
                if isinstance(done, BaseException):
                    raise done
                on_reply()
            for thread in threads:
                thread.join()
        except BaseException:
            self._end(threads)
            raise
        return [reply for reply in replies if reply is not None]

    def _end(self, threads: Sequence[threading.Thread]) -> None:
        """Wait for what is in flight for a limited time, or not at all when Ctrl-C is pressed again."""
        self._stop.set()
        due = monotonic_ns() + STOP_LIMIT_S * _NS
        try:
            for thread in threads:
                if thread.ident is not None:
                    thread.join(max(0.0, (due - monotonic_ns()) / _NS))
        except KeyboardInterrupt:
            pass
        finally:
            self._log.cancel("given up when the evaluation was interrupted")

    def _ask_one(self, prompt: int, body: bytes) -> Reply:
        attempt = 0
        while True:
            exchange, outcome, reason, execution = self._attempt(prompt, body)
            pause_s = pause_before_retry(exchange, outcome, reason, attempt)
            if not exchange.never_began:
                self._target_is_gone.clear()
            if pause_s is None:
                break
            if attempt >= self._max_retries or (exchange.never_began and self._target_is_gone.is_set()):
                if exchange.never_began:
                    self._target_is_gone.set()
                break
            if self._stop.wait(pause_s):
                break
            attempt += 1
        return _reply(outcome, reason, execution)

    def _attempt(self, prompt: int, body: bytes) -> tuple[Exchange, Outcome, str | None, Execution | None]:
        request = self._log.began(prompt)
        exchange = self._target.execute(body)
        return exchange, *self._log.record(request, monotonic_ns(), exchange, body)


def _reply(outcome: Outcome, reason: str | None, execution: Execution | None) -> Reply:
    if outcome is not Outcome.OK or execution is None:
        return Reply(outcome, None, reason)
    output = next((result.output for result in execution.results if result.node_id == ANSWER_NODE), None)
    # lm-eval writes the answer into its own results.
    text = REDACTOR.redact(output) if isinstance(output, str) else None
    return Reply(outcome, text, mock=is_mock_output(output))


def chosen(prompt: Prompt, reply: Reply) -> int | None:
    """Return the index of the option that an answer names, None where it names none."""
    letter = None if reply.text is None or reply.mock else parse_letter(reply.text, len(prompt.options))
    return None if letter is None else LETTERS.index(letter)


def is_unanswered(prompt: Prompt, reply: Reply) -> bool:
    """Tell whether an answer that came names no option, or has no text where no option was asked for."""
    answered = chosen(prompt, reply) is not None if prompt.options else bool(reply.text)
    return reply.outcome is Outcome.OK and not answered
