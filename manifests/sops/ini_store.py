"""INI: sections of `key = value`. What stands above the first section is in a section named DEFAULT.

A comment of a key follows it in the tree, and that of a section is its first entry, as SOPS has it.
"""

from __future__ import annotations

import re

from manifests.sops.tree import MOST_VALUES, Branch, Comment, Item, as_text
from manifests.sops.trouble import SopsTrouble

DEFAULT = "DEFAULT"
_SECTION = re.compile(r"\[([^\[\]]+)\]\s*")
_QUOTES = ('"""', "`", '"', "'")
_INLINE = re.compile(r"\s[#;]")


def load(text: str) -> Branch:
    """Raises SopsTrouble."""
    top = Branch([])
    made = Branch([Item(DEFAULT, top)])
    section, remark = top, ""
    lines = text.removeprefix("\ufeff").split("\n")
    if len(lines) > MOST_VALUES:
        raise SopsTrouble("BrokenFile", "it has too many lines")
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line:
            continue
        if line[0] in "#;":
            remark = "\n".join(filter(None, (remark, line.lstrip("#; "))))
            continue
        if match := _SECTION.fullmatch(line):
            section = _section(made, match[1].strip(), number)
            section.items += [Comment(remark)] if remark else []
            remark = ""
            continue
        section.items.append(_entry(section, line, number))
        section.items += [Comment(remark)] if remark else []
        remark = ""
    return made


def _section(made: Branch, name: str, number: int) -> Branch:
    if (found := made.get(name)) is not None:
        if name == DEFAULT and isinstance(found.value, Branch):
            return found.value
        raise SopsTrouble("BrokenFile", f"line {number}: the section {name[:80]} stands there twice")
    section = Branch()
    made.items.append(Item(name, section))
    return section


def _entry(section: Branch, line: str, number: int) -> Item:
    match = re.match(r"([^=:]+?)\s*[=:]\s*(.*)", line)
    if match is None:
        raise SopsTrouble("BrokenFile", f"line {number} is not written like key = value")
    name, value = match[1].strip("`\"'"), match[2]
    if section.get(name) is not None:
        raise SopsTrouble("BrokenFile", f"line {number}: {name[:80]} stands there twice")
    return Item(name, _value(value, number))


def _value(value: str, number: int) -> str:
    for quote in _QUOTES:
        if value.startswith(quote) and len(value) >= 2 * len(quote):
            end = value.find(quote, len(quote))
            if end >= 0:
                return value[len(quote) : end]
    if value.startswith('"""') or value.endswith("\\"):
        raise SopsTrouble("BrokenFile", f"line {number}: a value over several lines is not supported in INI")
    return _INLINE.split(value, maxsplit=1)[0].strip()


def emit(branch: Branch) -> str:
    """Raises SopsTrouble."""
    parts = []
    for section in branch.items:
        if isinstance(section, Comment):
            continue
        if not isinstance(section.value, Branch):
            raise SopsTrouble("WrongStore", f"{section.key} is no section")
        lines = list(_lines(section))
        if lines:
            parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _lines(section: Item) -> list[str]:
    assert isinstance(section.value, Branch)
    lines: list[str] = []
    inner = list(section.value.items)
    if not inner and section.key == DEFAULT:
        return []
    if inner and isinstance(first := inner[0], Comment):
        lines += [f"; {line}" for line in first.text.split("\n")]
        del inner[0]
    lines.append(f"[{section.key}]")
    for each in inner:
        if isinstance(each, Comment):
            key = lines.pop()
            lines += [*(f"; {line}" for line in each.text.split("\n")), key]
        elif isinstance(each.value, Branch | list):
            raise SopsTrouble("WrongStore", f"{section.key}.{each.key} is no text")
        else:
            lines.append(f"{each.key} = {_written(as_text(each.value))}")
    return lines


def _written(value: str) -> str:
    if "\n" in value or "\r" in value:
        raise SopsTrouble("WrongStore", "a value has several lines, which INI cannot keep")
    if (
        value != value.strip()
        or value.startswith(_QUOTES)
        or value.endswith("\\")
        or re.search("[#;]", value)
    ):
        if "`" in value:
            return f'"""{value}"""'
        return f"`{value}`"
    return value
