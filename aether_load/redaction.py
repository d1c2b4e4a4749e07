"""Keep secret values out of everything that is stored or shown.

A process tells `REDACTOR` its secret values as soon as it knows them: values of headers, what the environment put
into them, user, password and query of a URL. Text from outside goes through `foreign_text` before it is kept.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from aether_load.text import shorten, terminal_text

HIDDEN = "***"
LEAST_LENGTH = 8
"""A shorter value is found by chance in any text, and where it stood would tell what it was."""

_MOST_A_CHARACTER = 12
_URL_SAFE = str.maketrans("+/", "-_")
_IN_BASE64 = "[A-Za-z0-9+/_-]*"
_OTHER_FORMS = {" ": (r"\+",), "/": (r"\\/",), "&": ("&amp;",), "<": ("&lt;",), ">": ("&gt;",), '"': ("&quot;",)}
_WORDS = re.compile(r"[\s;,=:\"']+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SAMPLE = re.compile(r"[A-Za-z_:][\w:]*(\{le=\"[-+.\w]*\"\})? [-+.\w]+|# TYPE [\w:]+ \w+|")
"""A line of an exposition in which no text of anybody's stands."""


class Redactor:
    """The secret values of one process, and texts without them."""

    def __init__(self) -> None:
        self._long: dict[str, _Secret] = {}
        self._short: set[str] = set()

    def forget(self) -> None:
        """Forget every secret value."""
        self._long.clear()
        self._short.clear()

    def learn(self, value: str) -> None:
        """Hide a value from now on, in whichever of the usual encodings it comes."""
        if len(value) >= LEAST_LENGTH:
            self._long[value] = _Secret(value)
            # The longest first: a part of a value that is replaced would leave the rest of it.
            self._long = dict(sorted(self._long.items(), key=lambda item: -len(item[0])))
        elif value:
            self._short.add(value)

    def learn_headers(self, headers: Mapping[str, str]) -> None:
        """Hide the values of headers, and the words in them: a server may quote a token without its scheme."""
        for value in headers.values():
            self.learn(value)
            for word in _WORDS.split(value):
                if len(word) >= LEAST_LENGTH:
                    self.learn(word)
            for word in value.split():
                self._learn_credentials(word)

    def learn_url(self, url: str) -> None:
        """Hide a URL's user, password and the values in its query."""
        try:
            parts = urlsplit(url)
            values = [parts.username, parts.password, *(value for _, value in parse_qsl(parts.query))]
        except ValueError:
            return
        for value in values:
            self.learn(unquote(value or ""))

    def redact(self, text: str) -> str:
        """Return a text of our own with `***` for each secret value in it that is not too short to be told apart."""
        for secret in self._long.values():
            text = secret.hidden_in(text)
        return text

    def redact_foreign(self, text: str) -> str:
        """Return a text from outside without secret values; all of it is withheld where a short one stands in it."""
        text = self.redact(text)
        if any(value in text or quote(value, safe="") in text for value in self._short):
            return HIDDEN
        return text

    def redact_metrics(self, text: str) -> str:
        """Return an exposition without secret values; a line of words with a short one in it is left out."""
        text = self.redact(text)
        if not any(value in text for value in self._short):
            return text
        lines = text.split("\n")
        return "\n".join(line for line in lines if _SAMPLE.fullmatch(line) or self.redact_foreign(line) == line)

    @property
    def values(self) -> tuple[str, ...]:
        """Return all secret values, for another process of this run."""
        return (*self._long, *self._short)

    @property
    def longest(self) -> int:
        """Return the most characters that a secret value takes in any of its encodings."""
        return _MOST_A_CHARACTER * max(map(len, self._long), default=0)

    def _learn_credentials(self, word: str) -> None:
        """Hide the password in a value of HTTP's Basic scheme."""
        try:
            decoded = base64.b64decode(word, validate=True).decode()
        except ValueError:
            return
        _, colon, password = decoded.partition(":")
        if colon and decoded.isprintable():
            self.learn(decoded)
            if len(password) >= LEAST_LENGTH:
                self.learn(password)


class _Secret:
    """One value, and how it is found: as it is, percent-encoded, escaped in JSON or HTML, in base64."""

    def __init__(self, value: str) -> None:
        # What no encoding changes is looked for first, which takes a microsecond a kilobyte.
        self._anchor = max(re.findall("[A-Za-z0-9]+", value), key=len, default="")
        self._pattern = re.compile("".join(map(_any_form, value)))
        forms = {form for shift in range(3) for form in _base64_forms(value.encode(errors="surrogatepass"), shift)}
        self._base64 = [(form, re.compile(_IN_BASE64 + re.escape(form) + _IN_BASE64 + "=*")) for form in forms]

    def hidden_in(self, text: str) -> str:
        if self._anchor in text:
            text = self._pattern.sub(HIDDEN, text)
        for form, pattern in self._base64:
            if form in text:
                text = pattern.sub(HIDDEN, text)
        return text


def _any_form(character: str) -> str:
    """Return a pattern for a character as it is written plainly, in URLs, in JSON and in HTML."""
    if character.isascii() and character.isalnum():
        return character
    in_url = "".join(f"%{byte:02x}" for byte in character.encode(errors="surrogatepass"))
    number = ord(character)
    forms = [re.escape(character), f"(?i:{in_url})", f"(?i:\\\\u{number:04x})", f"&#{number};", f"(?i:&#x{number:x};)"]
    if (escaped := json.dumps(character)[1:-1]) != character:
        forms.append(re.escape(escaped))
    forms += _OTHER_FORMS.get(character, ())
    # Those that begin like the plain character come first.
    return "(?:" + "|".join(sorted(forms, key=len, reverse=True)) + ")"


def _base64_forms(value: bytes, shift: int) -> list[str]:
    """Return what of a value's base64 is the same whatever stands around it, `shift` bytes behind a group's start."""
    encoded = base64.b64encode(bytes(shift) + value).decode()
    first = (shift * 8 + 5) // 6
    whole = (shift + len(value)) * 8 // 6
    form = encoded[first:whole]
    return [form, form.translate(_URL_SAFE)]


REDACTOR = Redactor()
"""The secret values of this process."""


def foreign_text(text: str | bytes, most: int = 200) -> str:
    """Return a text from outside as it may be stored and shown: on one line, without secrets, not long."""
    # Secrets are looked for before the text is cut to its length. What the first cut left half of one falls away.
    half = REDACTOR.longest
    limit = 4 * most + 2 * half
    plain = text[:limit].decode(errors="replace") if isinstance(text, bytes) else text[:limit]
    safe = REDACTOR.redact_foreign(plain)
    if len(text) > limit:
        safe = safe[: max(0, len(safe) - half)]
    return shorten(terminal_text(safe).strip(), most)


def sentence_of(error: object) -> str:
    """Return an error's sentence as it is said: on one line, without secrets."""
    return terminal_text(REDACTOR.redact(str(error)))


def hidden_url(url: str) -> str:
    """Return a URL without user, password, query and fragment, also where it is a broken one."""
    scheme = match[0] if (match := _SCHEME.match(url)) else ""
    _, at, rest = url[len(scheme) :].rpartition("@")
    plain, *more = re.split("[?#]", rest, maxsplit=1)
    return f"{scheme}{f'{HIDDEN}@' if at else ''}{plain}{f'?{HIDDEN}' if more else ''}"
