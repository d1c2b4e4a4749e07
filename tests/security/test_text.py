"""Text from outside does nothing where it is shown."""

import csv
import io
import json
import unicodedata
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether_load.text import csv_cell, json_text, markdown_text, shorten, terminal_text, with_safe_texts, xml_text

HOSTILE = st.text(st.characters(), max_size=60) | st.text(
    "\x1b\x9b\x00\x07\r\n\t\u2028\u202e=+-@'\"|<>&`[]*_#\ud800", max_size=20
)
DIRECTION_MARKS = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@given(HOSTILE)
def test_a_terminal_gets_one_line_and_no_control(text: str) -> None:
    """No byte of a control sequence, no line break, no mark that turns what follows."""
    shown = terminal_text(text)
    assert not [sign for sign in shown if unicodedata.category(sign) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not DIRECTION_MARKS & set(shown)
    shown.encode()


@given(HOSTILE)
def test_a_csv_cell_is_no_formula_and_one_line(text: str) -> None:
    """Also behind spaces, and read back by a reader of CSV as one cell of one row."""
    cell = csv_cell(text)
    assert isinstance(cell, str)
    assert not cell.strip().startswith(("=", "+", "-", "@", "\t"))
    out = io.StringIO()
    csv.writer(out).writerow([cell, "end"])
    assert list(csv.reader(io.StringIO(out.getvalue(), newline=""))) == [[cell, "end"]]


@pytest.mark.parametrize("value", [-1.5, 0, None, "", "plain", "a-b"])
def test_what_is_no_formula_stays_as_it_is(value: float | str | None) -> None:
    """A number below zero is a number."""
    assert csv_cell(value) == value


@given(HOSTILE)
def test_xml_takes_every_text(text: str) -> None:
    element = ET.Element("a", {"b": xml_text(text)})
    element.text = xml_text(text)
    assert ET.fromstring(ET.tostring(element)) is not None


@given(HOSTILE)
def test_markdown_has_no_markup_left(text: str) -> None:
    """No character that begins an element, a link, a code span or a cell."""
    shown = markdown_text(text)
    assert not set("<>|`*[]$~") & set(shown.replace("<!-- -->", ""))
    assert "\n" not in shown
    assert terminal_text(shown) == shown


@given(st.dictionaries(st.text(max_size=5), HOSTILE.filter(lambda text: "\ud800" not in text), max_size=4))
def test_json_says_the_same_without_control_characters(value: dict[str, str]) -> None:
    """Those that JSON lets stand as they are become escapes."""
    try:
        document = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    except UnicodeEncodeError:
        return
    shown = json_text(document)
    assert json.loads(shown) == value
    assert not [sign for sign in shown if unicodedata.category(sign) == "Cc" and sign != "\n"]


def test_a_long_text_is_cut_with_a_mark() -> None:
    assert [shorten("abcdef", most) for most in (6, 5, 1)] == ["abcdef", "abcd…", "…"]


class Inner(msgspec.Struct):
    words: tuple[str, ...]
    count: int


class Outer(msgspec.Struct):
    inner: Inner
    by_name: dict[str, float | None]


def test_a_whole_value_can_be_made_safe() -> None:
    """Keys of mappings and what lies deep inside; numbers stay."""
    value = Outer(Inner(("a\n", "b"), 3), {"c\x1b": 1.5, "d": None})
    assert with_safe_texts(value, terminal_text) == Outer(Inner(("a ", "b"), 3), {"c\ufffd": 1.5, "d": None})
