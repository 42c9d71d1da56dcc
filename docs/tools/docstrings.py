"""Our docstrings as Markdown: `Args:`, `Returns:`, `Yields:`, `Raises:`, `Source:`, and doctests.

A Griffe extension. The parsers that Griffe knows want a blank line and a new line where ours go on in the same one.
"""

import re
from collections.abc import Iterator

from griffe import Class, Extension, Object

_SECTION = re.compile(r"(Args|Returns|Yields|Raises|Source):\s*(.*)")
_EXCEPTION = re.compile(r"\b([A-Z]\w*Error|KeyboardInterrupt)\b")
_TITLES = {"Args": "Arguments"}


def markdown(text: str) -> str:
    r"""Turn one docstring into Markdown.

    >>> markdown("Double it.\n\nArgs:\n    x: above 0.\nReturns: metres.").splitlines()
    ['Double it.', '', '**Arguments**', '', '- `x`: above 0.', '', '**Returns:** metres.']
    """
    return "\n\n".join(_blocks(text.splitlines()))


def _blocks(lines: list[str]) -> Iterator[str]:
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        end = at + 1
        if match := _SECTION.fullmatch(lines[at]):
            while end < len(lines) and lines[end].startswith("    "):
                end += 1
            yield _section(match[1], match[2], lines[at + 1 : end])
        elif lines[at].startswith(">>> "):
            while end < len(lines) and lines[end].strip():
                end += 1
            yield "\n".join(["```pycon", *lines[at:end], "```"])
        else:
            while end < len(lines) and lines[end].strip() and not _SECTION.fullmatch(lines[end]):
                end += 1
            yield "\n".join(lines[at:end])
        at = end


def _section(name: str, first: str, rest: list[str]) -> str:
    title = f"**{_TITLES.get(name, name)}"
    if name != "Args":
        text = " ".join([first, *(line.strip() for line in rest)]).strip()
        return f"{title}:** " + (_EXCEPTION.sub(r"`\1`", text) if name == "Raises" else text)
    items: list[str] = []
    for line in rest:
        if line.startswith("     "):
            items[-1] += " " + line.strip()
        else:
            names, _, meaning = line.strip().partition(": ")
            items.append(f"- {', '.join(f'`{each.strip()}`' for each in names.split(','))}: {meaning}")
    return "\n".join([f"{title}**", "", *items])


class HouseStyle(Extension):
    """Rewrites docstrings, and lists the fields of a class that have a comment behind them."""

    def on_object(self, *, obj: Object, **_: object) -> None:
        """Change one object of the tree that has been read."""
        if obj.docstring is None:
            return
        obj.docstring.value = markdown(obj.docstring.value)
        if isinstance(obj, Class) and (fields := list(_fields(obj))):
            obj.docstring.value += "\n\n**Fields**\n\n" + "\n".join(fields)


def _fields(of: Class) -> Iterator[str]:
    """All annotated fields, if at least one has a comment; others are described under `Args:`."""
    lines = [
        field.lines_collection[field.filepath][field.lineno - 1].strip()
        for field in of.attributes.values()
        if field.lineno is not None and not isinstance(field.filepath, list) and "instance-attribute" in field.labels
    ]
    parts = [line.partition("  # ") for line in lines]
    if any(comment for _, _, comment in parts):
        yield from (f"- `{code}`" + (f": {comment}" if comment else "") for code, _, comment in parts)
