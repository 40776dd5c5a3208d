"""Lines of `NAME=value`. A value is all that stands behind `=`, quotes too; `\\n` in it ends a line."""

from __future__ import annotations

from manifests.sops.tree import MOST_VALUES, Branch, Comment, Item, as_text
from manifests.sops.trouble import SopsTrouble

PREFIX = "sops_"


def load(text: str) -> Branch:
    """Raises SopsTrouble."""
    made = Branch()
    lines = text.removeprefix("\ufeff").split("\n")
    if len(lines) > MOST_VALUES:
        raise SopsTrouble("BrokenFile", "it has too many lines")
    names: set[str] = set()
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            made.items.append(Comment(line[1:]))
            continue
        if not line.rstrip("\r"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise SopsTrouble("BrokenFile", f"line {number} is not written like NAME=value")
        if name in names:
            raise SopsTrouble("BrokenFile", f"line {number}: {name[:80]} stands there twice")
        names.add(name)
        made.items.append(Item(name, value.replace("\\n", "\n")))
    return made


def emit(branch: Branch) -> str:
    """Raises SopsTrouble for what is no text."""
    lines = []
    for each in branch.items:
        if isinstance(each, Comment):
            lines.append("#" + each.text.replace("\n", "\\n"))
            continue
        if isinstance(each.value, Branch | list):
            raise SopsTrouble("WrongStore", f"{each.key} is no text, and a file of NAME=value has only text")
        lines.append(f"{each.key}=" + as_text(each.value).replace("\n", "\\n"))
    return "".join(f"{line}\n" for line in lines)
