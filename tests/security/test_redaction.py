"""Secret values are found in whichever form they come back."""

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aether_load.redaction import REDACTOR, Redactor, foreign_text, hidden_url

SECRET = 's3cr3t/+ "7e1f" <&>'
FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "URL": lambda value: quote(value, safe=""),
    "URL in small letters": lambda value: quote(value, safe="").lower(),
    "form": quote_plus,
    "JSON": lambda value: json.dumps({"got": value}),
    "HTML": html.escape,
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 for URLs": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "base64 of a head": lambda value: base64.b64encode(f"X: {value}\r\n".encode()).decode(),
    "base64 of another head": lambda value: base64.b64encode(f"Xy: {value}\r\n\r\n".encode()).decode(),
}


@pytest.fixture
def redactor() -> Redactor:
    REDACTOR.learn(SECRET)
    return REDACTOR


@pytest.mark.parametrize("form", FORMS)
def test_a_long_value_is_replaced_in_each_encoding(redactor: Redactor, form: str) -> None:
    """The text around it stays, of base64 the whole token goes."""
    shown = foreign_text(f"refused: {FORMS[form](SECRET)} (who are you?)")
    assert shown.startswith("refused: ")
    assert shown.endswith(" (who are you?)")
    assert "***" in shown
    for part in ("s3cr3t", "7e1f", base64.b64encode(SECRET.encode()).decode()[4:12]):
        assert part not in shown


@given(st.text(min_size=8, max_size=40).filter(lambda text: text.strip() == text), st.text(max_size=20))
@example("aaaaaaaa", "aaaa")
def test_no_value_of_eight_characters_is_left_in_any_text(secret: str, around: str) -> None:
    redactor = Redactor()
    redactor.learn(secret)
    for form in (str, FORMS["URL"], FORMS["base64"]):
        try:
            text = around + form(secret)
        except UnicodeEncodeError:
            continue
        assert form(secret) not in redactor.redact_foreign(text)


def test_a_text_with_a_short_value_is_withheld() -> None:
    """Stars in place of it would say where it stood; a text without it stays."""
    REDACTOR.learn("hunter2")
    assert foreign_text("you are hunter2, go away") == "***"
    assert foreign_text("who are you?") == "who are you?"


def test_words_of_a_header_are_secrets_too() -> None:
    """A server may quote the token without its scheme, one cookie of several, or the password of Basic."""
    basic = base64.b64encode(b"ann:pa55-w0rd").decode()
    REDACTOR.learn_headers({"A": "Bearer abcdefgh", "Cookie": "theme=x; session=0123456789", "B": f"Basic {basic}"})
    assert foreign_text("no abcdefgh, no 0123456789, no pa55-w0rd") == "no ***, no ***, no ***"


def test_a_urls_user_password_and_query_are_secrets() -> None:
    REDACTOR.learn_url("http://somebody:pass%20word@h/metrics?token=abcdefgh%2F1")
    assert foreign_text("somebody, pass word, abcdefgh/1, h") == "***, ***, ***, h"


def test_a_long_text_is_cut_behind_what_is_hidden() -> None:
    """No half of a secret is left at the end, wherever the cut falls."""
    REDACTOR.learn("0123456789abcdef")
    for shift in range(40):
        shown = foreign_text(b"x" * shift + b"0123456789abcdef" * 500, most=60)
        assert len(shown) <= 60
        assert "0123" not in shown


def test_metrics_keep_their_numbers() -> None:
    """A short secret is found in numbers by chance; lines of words that hold one are left out."""
    REDACTOR.learn("17")
    REDACTOR.learn("long-secret")
    text = '# HELP a said 17\n# TYPE a counter\na 17\nb_bucket{le="17"} 3\nc{who="17"} 1\nd{who="long-secret"} 1\n'
    assert REDACTOR.redact_metrics(text) == '# TYPE a counter\na 17\nb_bucket{le="17"} 3\nd{who="***"} 1\n'


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h:1/x", "http://h:1/x"),
        ("http://:pw@h:1/x?token=y#z", "http://***@h:1/x?***"),
        ("http://u:p?x@h/", "http://***@h/"),
        ("http://u:http://x@h/", "http://***@h/"),
        ("u:p@h?x=http://y", "***@h?***"),
        ("http://h/?mail=a@b", "http://***@b"),
        ("[::1", "[::1"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    """Whether it is a URL or not."""
    assert hidden_url(url) == shown
