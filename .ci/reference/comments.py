"""Read what a class says of itself: its docstring, and the comment beside each of its fields."""

import ast
import inspect
import io
import re
import textwrap
import tokenize


def field_comments(kind: type) -> dict[str, str]:
    """Return the comment of each field that has one: behind it on its line, or on the lines before it."""
    source = textwrap.dedent(inspect.getsource(kind))
    behind, alone = {}, {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith(("# noqa", "# type:")):
            text = token.string.removeprefix("#").strip()
            (alone if token.line.lstrip().startswith("#") else behind)[token.start[0]] = text
    (body,) = ast.parse(source).body
    found = {}
    for node in body.body:
        name = _name(node)
        if name is None:
            continue
        if (inline := behind.get(node.end_lineno)) is not None:
            found[name] = inline
        elif before := _lines_before(alone, node.lineno):
            found[name] = before
    return found


def paragraphs(kind: type) -> str:
    """Return a class's docstring as Markdown paragraphs."""
    return re.sub(r"\bNone\b", "null", inspect.cleandoc(kind.__doc__ or ""))


def _name(node: ast.stmt) -> str | None:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return None


def _lines_before(comments: dict[int, str], line: int) -> str:
    said = []
    while (line := line - 1) in comments:
        said.insert(0, comments[line])
    return " ".join(said)
