"""Metadata in files that know no structure: `age__list_0__map_recipient=…`, one line each."""

from __future__ import annotations

import re
from typing import Any

from manifests.sops.trouble import SopsTrouble

_STEP = re.compile(r"__(map|list)_")
_MOST = 1000


def flatten(value: dict[str, Any]) -> dict[str, str]:
    """With escaped ends of lines, sorted."""
    found: dict[str, str] = {}
    for key, item in value.items():
        _flatten(key, item, found)
    return dict(sorted(found.items()))


def _flatten(key: str, value: Any, found: dict[str, str]) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            _flatten(f"{key}__map_{name}", item, found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _flatten(f"{key}__list_{index}", item, found)
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        found[key] = text.replace("\n", "\\n")


def unflatten(flat: dict[str, str]) -> dict[str, Any]:
    """Raises SopsTrouble."""
    if len(flat) > _MOST:
        raise SopsTrouble("BrokenFile", "it has too much metadata")
    made: dict[str, Any] = {}
    for key, value in flat.items():
        first, *steps = _STEP.split(key)
        names: list[str] = [first, *steps[1::2]]
        into = made
        for name in names[:-1]:
            inner = into.setdefault(name, {})
            if not isinstance(inner, dict):
                raise SopsTrouble("BrokenFile", "its metadata contradicts itself")
            into = inner
        into[names[-1]] = value.replace("\\n", "\n")
    return {key: _lists(value) for key, value in made.items()}


def _lists(value: Any) -> Any:
    """What has only numbers for names is a list."""
    if not isinstance(value, dict):
        return value
    items = {name: _lists(item) for name, item in value.items()}
    if items and all(name.isascii() and name.isdecimal() for name in items):
        return [items[name] for name in sorted(items, key=int)]
    return items
