"""GitHub's expressions, as far as the workflows use them, like `${{ inputs.x || 'y' }}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<sign>&&|\|\||==|!=|!|\(|\)|,)|(?P<name>[A-Za-z_][\w-]*(?:\.[\w-]+)*))"
)
SIGNS = {"&&": " and ", "||": " or ", "!": " not "}
INSIDE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
STATUS_FUNCTIONS = re.compile(r"\b(always|cancelled|failure|success)\(\)")

Contexts = Mapping[str, object]
Functions = Mapping[str, Callable[..., object]]


def evaluate(expression: str, contexts: Contexts, functions: Functions) -> object:
    """Return an expression's value; what a context does not have is empty, a context not given is a KeyError."""
    source, position, expression = "", 0, expression.strip()
    while position < len(expression):
        token = TOKEN.match(expression, position)
        assert token is not None, f"not an expression that this test knows: {expression}"
        position = token.end()
        if token["text"]:
            source += repr(token["text"][1:-1].replace("''", "'"))
        elif token["sign"]:
            source += SIGNS.get(token["sign"], token["sign"])
        elif expression[position : position + 1] == "(":
            source += f"functions[{token['name']!r}]"
        else:
            source += f"look_up({token['name']!r})"
    return eval(source.strip(), {"functions": functions, "look_up": lambda name: _look_up(name, contexts)})


def _look_up(name: str, contexts: Contexts) -> object:
    if name in {"true", "false"}:
        return name == "true"
    first, *rest = name.split(".")
    value = contexts[first]
    for key in rest:
        value = value.get(key, "") if isinstance(value, Mapping) else ""
    return value


def fill_in(text: object, contexts: Contexts, functions: Functions) -> str:
    """Return a value of the YAML file as the text that GitHub makes of it."""
    if isinstance(text, bool):
        return str(text).lower()

    def value(found: re.Match[str]) -> str:
        result = evaluate(found[1], contexts, functions)
        return str(result).lower() if isinstance(result, bool) else str(result)

    return INSIDE.sub(value, str(text))


def holds(condition: str | None, contexts: Contexts, functions: Functions) -> bool:
    """Return whether a step or job is to run; without a status function in it, only after success."""
    bare = condition.strip() if condition else "success()"
    if whole := INSIDE.fullmatch(bare):
        bare = whole[1]
    if not STATUS_FUNCTIONS.search(bare):
        bare = f"success() && ({bare})"
    return bool(evaluate(bare, contexts, functions))
