"""Decode text from outside, and make it safe for the place where it is shown, one function a place."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_LINE_END = re.compile(r"\r\n?|\n")
_MARKS = (
    # UTF-32's mark begins with that of UTF-16, so it comes first.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_SPACES = re.compile("[\t\n\r\x0b\x0c\x85\u2028\u2029]+")
# Control characters, halves of characters, and marks that turn the direction of what stands around them.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NOT_XML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPED_IN_JSON = re.compile(r"\\[bfnrtu]|\x7f")
_RAW_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
"""How the characters that these functions replace stand in a JSON document."""
_PLAIN_CELL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_ .:/-]*")
_FORMULA = re.compile("[=+\\-@\uff1d\uff0b\uff0d\uff20]")
# Underscores inside a word, and dashes and numbers inside a line, are no markup.
_MARKUP = re.compile(
    r"[\\`*\[\]<>#|~&$@]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=www)\.|^[-+=](?=\s|$|[-=])|(?<=^\d)[.)]|(?<=^\d\d)[.)]"
)


def decode_text(content: bytes) -> str:
    """Return `content` as text: in the encoding that its byte order mark names, else in UTF-8.

    Line ends stay as they are. Raises ValueError with a sentence that names the line of the first wrong byte.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        name = encoding.upper().removesuffix("-SIG")
        before, wrong = error.object[: error.start].decode(encoding, errors="replace"), error.object[error.start]
        raise ValueError(
            f"line {_line_after(before)}: byte 0x{wrong:02x} is not {name} text; save the file as UTF-8"
        ) from None
    if (place := text.find("\0")) >= 0:
        raise ValueError(f"line {_line_after(text[:place])}: a null character is not text; save the file as UTF-8")
    return text


def _line_after(before: str) -> int:
    return 1 + len(_LINE_END.findall(before))


def terminal_text(text: str) -> str:
    """Return a text on one line, with a replacement character for each that a terminal would obey."""
    return _CONTROLS.sub("\ufffd", _SPACES.sub(" ", text))


def csv_cell(value: object) -> object:
    """Return a value for a CSV cell; a text that a spreadsheet would take for a formula begins with an apostrophe."""
    if not isinstance(value, str) or _PLAIN_CELL.fullmatch(value):
        return value
    plain = terminal_text(value)
    return f"'{plain}" if _FORMULA.match(plain.lstrip()) else plain


def markdown_text(text: object) -> str:
    """Return a text that Markdown shows as it is: on one line, with no markup, no link and no mention."""
    flat = " ".join(terminal_text(str(text)).split())
    # An at sign that is separated from the name after it mentions no user.
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};" + ("<!-- -->" if found[0] == "@" else ""), flat)


def xml_text(text: str) -> str:
    """Return a text without the characters that XML and HTML cannot hold; the writer escapes the markup."""
    return _NOT_XML.sub("\ufffd", text)


def json_text(text: str) -> str:
    """Return a JSON document with the control characters in its strings as escapes; line breaks stay."""
    return _RAW_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def json_document(value: object, indent: int = 2) -> str:
    """Return a value as JSON, one key a line, without control characters: the same value is always the same text."""
    return json_text(msgspec.json.format(msgspec.json.encode(value), indent=indent).decode()) + "\n"


def shorten(text: str, most: int) -> str:
    """Return a text of at most `most` characters, the last of which is an ellipsis if some were cut off."""
    return text if len(text) <= most else text[: most - 1] + "…"


def encodable_text(text: str) -> str:
    """Return a text with an escape for each byte that is none: a file's name or a command line may hold any byte."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def with_encodable_texts(value: T) -> T:
    """Return a msgspec struct whose texts can be written down, as `encodable_text` does it."""
    try:
        msgspec.msgpack.encode(value)
    except UnicodeEncodeError:
        return msgspec.convert(_mapped(msgspec.to_builtins(value), encodable_text), type(value))
    return value


def with_safe_texts(value: T, safe: Callable[[str], str]) -> T:
    """Return a msgspec struct in which every text, keys of mappings too, went through a function of this module.

    The copy takes a second for 30,000 rows; most values hold nothing to replace, which their JSON shows much sooner.
    """
    plain = msgspec.json.encode(value).decode()
    if _ESCAPED_IN_JSON.search(plain) is None and (plain.isascii() or _RAW_IN_JSON.search(plain) is None):
        return value
    return msgspec.convert(_mapped(msgspec.to_builtins(value), safe), type(value))


def _mapped(value: Any, safe: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return safe(value)
    if isinstance(value, dict):
        return {_mapped(key, safe): _mapped(child, safe) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(child, safe) for child in value]
    return value
