"""A service's `secrets` and `configs`: what of the file's it mounts, and where. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from manifests.compose.values import Invalid, integer, items, only, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from manifests.compose.translation import Translation
    from manifests.documents.document import Path

_KEPT_APART = re.compile(r"[^A-Za-z0-9_.-]+")
#: Where each kind of them is in a container, unless its target says.
_PLACES = {"secrets": "/run/secrets/", "configs": "/"}


def mount(kind: str) -> Callable[[Translation, Any, Path], None]:
    """The translator of a service's `secrets` or `configs`."""

    def translate(of: Translation, value: Any, path: Path) -> None:
        for item, here in items([] if value is None else value, path):
            long = isinstance(item, dict)
            entry = only(item, here, "source", "target", "uid", "gid", "mode") if long else {"source": item}
            name = text(entry.get("source", ""), (*here, "source"))
            made = {**of.shared.get(kind, name, here), "as": "file"}
            target = text(entry.get("target") or name, (*here, "target"))
            made["target"] = target if target.startswith("/") else f"{_PLACES[kind]}{target}"
            made |= {key: integer(entry[key], (*here, key)) for key in ("uid", "gid") if key in entry}
            if "mode" in entry:
                made["mode"] = _mode(entry["mode"], (*here, "mode"))
            of.secrets[_free(of.secrets, _KEPT_APART.sub("_", name)[:200] or "_")] = made

    return translate


def target(kind: str) -> Callable[[Any], str]:
    """Where a service's item of `secrets` or `configs` is in the container, which no two can be."""

    def of(item: Any) -> str:
        entry = item if isinstance(item, dict) else {"source": item}
        found = str(entry.get("target") or entry.get("source"))
        return found if found.startswith("/") else f"{_PLACES[kind]}{found}"

    return of


def _mode(value: Any, path: Path) -> str:
    """A number is the mode itself (288 is 0440), a text is octal digits. Raises Invalid."""
    written = f"{value:04o}" if isinstance(value, int) and not isinstance(value, bool) else text(value, path)
    written = written.removeprefix("0o")
    if not re.fullmatch(r"0?[0-7]{3}", written):
        raise Invalid(path, "is no mode", "like 0440")
    return written


def together(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Both, those of the second under other names where the first has theirs."""
    made = dict(first)
    for name, each in second.items():
        made[_free(made, name)] = each
    return made


def _free(taken: Mapping[str, Any], name: str) -> str:
    """Secrets and configs have names of their own, and one may be mounted twice."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name}.{number}", number + 1
    return found
