"""JSON with places for a row's words: whatever the words are, it stays JSON and they stay what they are."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aether_load.dag.template import compile_template, escaped
from aether_load.datasets.columns import column_text
from aether_load.protocol import DagRequest, Generation, LlmNode, encode_request, request_body

texts = st.text(st.characters(codec="utf-8"))
awkward = st.sampled_from(['"', "\\", "\n", "{{", "}}", "{{a}}", "\x00", "\u2028", "é", "😀", '"}]', "\\u0041"])
words = st.lists(texts | awkward).map("".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda held: st.lists(held) | st.dictionaries(words, held),
    max_leaves=12,
)


def name_of(inner: str) -> str | None:
    return inner if inner in {"a", "b"} else None


def replaced(value: Any, filled: dict[str, str]) -> Any:
    """The same by hand: the value with its strings' placeholders replaced, none of them looked at twice."""
    if isinstance(value, dict):
        return {key: replaced(held, filled) for key, held in value.items()}
    if isinstance(value, list):
        return [replaced(held, filled) for held in value]
    return "".join(filled.get(part, part) for part in split(value)) if isinstance(value, str) else value


def split(text: str) -> list[str]:
    for name in ("{{a}}", "{{b}}"):
        head, found, tail = text.partition(name)
        if found:
            return [*split(head), found, *split(tail)]
    return [text]


@given(values, words, words)
def test_any_words_are_put_into_any_json_as_they_stand(value: Any, first: str, second: str) -> None:
    """The body is the JSON with the words in it, and words that look like a placeholder are words."""
    template = compile_template(value, name_of)
    body = template.fill({"a": escaped(first), "b": escaped(second)})
    assert json.loads(body) == replaced(value, {"{{a}}": first, "{{b}}": second})


@given(words)
def test_a_template_writes_what_the_encoder_writes(text: str) -> None:
    """A question put into the place for it gives byte for byte the body that is written at once."""

    def request(prompt: str) -> DagRequest:
        node = LlmNode(id="answer", prompt=prompt, model="m", temperature=0.0, max_tokens=16)
        return DagRequest(flow_name="aether_load_piqa", nodes=(node,))

    for generation in Generation:
        template = compile_template(
            request_body(request("{{prompt}}"), generation), lambda name: name if name == "prompt" else None
        )
        assert template.fill({"prompt": escaped(text)}) == encode_request(request(text), generation)


def test_spaces_inside_the_braces_do_not_matter() -> None:
    """`{{ a }}` is `{{a}}`; what is no name stays as it stands, and braces around a placeholder too."""
    template = compile_template({"x": ["{{ a }}{{c}}", {"{{a}}": "{{{a}}}"}]}, name_of)
    assert json.loads(template.fill({"a": b"1"})) == {"x": ["1{{c}}", {"{{a}}": "{1}"}]}
    assert template.names == ("a", "a")


def test_a_columns_value_is_written_as_the_runtime_would() -> None:
    """Texts as they stand, null as nothing, everything else as compact JSON with sorted keys."""
    values = ["a text", None, 7, 2.5, True, ["a", None], {"b": 1, "a": "é"}, ""]
    assert [column_text(value) for value in values] == [
        "a text", "", "7", "2.5", "true", '["a",null]', '{"a":"é","b":1}', "",
    ]  # fmt: skip
