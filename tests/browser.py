"""Headless Chromium as a test drives it: a page opened from its file, what it said, asked for and shows."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIMIT_S = 60
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_chromium() -> str | None:
    """Return a Chromium on this machine, if there is one."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Page:
    """One page, spoken to over a pipe by the DevTools protocol."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader, self._writer = reader, writer
        self._buffer = b""
        self._last = 0
        self._session: str | None = None
        self.console: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")

    def show(self, width: int, *, dark: bool = False, medium: str = "") -> None:
        """Take a width in CSS pixels, a colour scheme, and a medium ("print")."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", media=medium, features=[scheme])

    def open(self, path: Path) -> None:
        """Load a file and wait until the page says that it has drawn its charts, if it has any."""
        self.console.clear()
        self.requests.clear()
        self._ask("Page.navigate", url=path.resolve().as_uri())
        deadline = time.monotonic() + LIMIT_S
        ready = "document.readyState == 'complete' && (!document.getElementById('specifications') || "
        ready += "document.documentElement.dataset.drawn != undefined)"
        while not self.evaluate(ready):
            assert time.monotonic() < deadline, f"the page was not drawn within {LIMIT_S} s: {self.console}"
            time.sleep(0.02)  # between two looks, never in place of one

    def visit(self, url: str) -> None:
        """Load an address and wait until the page is there."""
        self.console.clear()
        self.requests.clear()
        self._loaded = False
        self._ask("Page.navigate", url=url)
        while not self._loaded:
            self._note(self._next())

    def wait_for(self, expression: str, what: str, limit_s: float = LIMIT_S) -> Any:
        """Return an expression's first true value in the page; fail with `what` when none came in time."""
        deadline = time.monotonic() + limit_s
        while not (found := self.evaluate(expression)):
            assert time.monotonic() < deadline, f"waited {limit_s} s in vain for {what}: {self.console}"
            time.sleep(0.05)  # between two looks, never in place of one
        return found

    def press(self, element: str) -> None:
        """Click with the mouse on what an expression names, once it is there and within sight."""
        self.wait_for(f"!!({element})", element)
        place = f"(() => {{ const e = {element}; e.scrollIntoView({{block: 'center'}}); "
        place += "const b = e.getBoundingClientRect(); let [x, y] = [b.x + b.width / 2, b.y + b.height / 2]; "
        place += "const f = e.ownerDocument.defaultView.frameElement?.getBoundingClientRect(); "
        place += "return [x + (f?.x ?? 0), y + (f?.y ?? 0)]; })()"
        before = None
        # What slides open below or above it moves it.
        while (at := self.evaluate(place)) != before:
            before = at
            time.sleep(0.05)  # between two looks, never in place of one
        x, y = at
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self._ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def write(self, element: str, text: str) -> None:
        """Put a text in place of what a field holds, as if it were typed."""
        self.evaluate(f"(() => {{ const e = {element}; e.focus(); e.select(); }})()")
        self._ask("Input.insertText", text=text)

    def choose(self, element: str, value: str) -> None:
        """Take an entry of a menu."""
        self.evaluate(
            f"(() => {{ const e = {element}; e.value = {json.dumps(value)}; "
            "e.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )

    def keep_downloads(self, folder: Path) -> None:
        """Save what is downloaded in a folder."""
        self._ask("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def document_without_scripts(self, path: Path) -> str:
        """Return what a file is as a document where no script runs."""
        self._ask("Emulation.setScriptExecutionDisabled", value=True)
        try:
            self._loaded = False
            self._ask("Page.navigate", url=path.resolve().as_uri())
            while not self._loaded:
                self._note(self._next())
            return str(self._ask("DOM.getDocument", depth=-1))
        finally:
            self._ask("Emulation.setScriptExecutionDisabled", value=False)

    def evaluate(self, expression: str) -> Any:
        """Return what an expression is in the page."""
        found = self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def picture(self, path: Path) -> None:
        """Save the whole page as it is shown, as PNG."""
        found = self._ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def paper(self, path: Path) -> None:
        """Save the page as it is printed, as PDF."""
        found = self._ask("Page.printToPDF", printBackground=False, paperWidth=8.27, paperHeight=11.69)
        path.write_bytes(base64.b64decode(found["data"]))

    def _ask(self, method: str, **parameters: Any) -> Any:
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._writer, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._last:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._note(answer)

    def _next(self) -> Any:
        while b"\0" not in self._buffer:
            more = os.read(self._reader, 1 << 20)
            assert more, "Chromium has gone"
            self._buffer += more
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event: Any) -> None:
        method, said = event.get("method"), event.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.consoleAPICalled" and said["type"] in {"error", "warning", "assert"}:
            self.console.append(" ".join(str(part.get("value", part)) for part in said["args"]))
        elif method == "Runtime.exceptionThrown":
            self.console.append(str(said["exceptionDetails"]))
        elif method == "Log.entryAdded" and said["entry"]["level"] in {"error", "warning"}:
            self.console.append(said["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """Start a browser with an empty profile and end it."""
    program = find_chromium()
    assert program is not None
    to_browser, writer = os.pipe()
    reader, from_browser = os.pipe()

    def take_pipes() -> None:
        # Chromium reads commands from 3 and answers on 4.
        first, second = os.dup(to_browser), os.dup(from_browser)
        os.dup2(first, 3)
        os.dup2(second, 4)

    process = subprocess.Popen(
        [
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
            "--hide-scrollbars", f"--user-data-dir={profile}", "about:blank",
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        close_fds=False, preexec_fn=take_pipes, start_new_session=True,  # noqa: PLW1509 -- this process has one thread
    )  # fmt: skip
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Page(reader, writer)
    finally:
        process.kill()
        process.wait()
        os.close(reader)
        os.close(writer)
