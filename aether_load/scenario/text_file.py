"""Decode the text files that users write, whichever editor or spreadsheet saved them."""

from __future__ import annotations

import codecs
import re

_LINE_END = re.compile(r"\r\n?|\n")
_MARKS = (
    # UTF-32's mark begins with that of UTF-16, so it comes first.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
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
