"""What differs between two versions of a value, as lines such as `env.LOG_LEVEL: info → debug`. Pure.

Values of variables that sound secret stay secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SECRET = ("TOKEN", "SECRET", "PASSWORD", "KEY")
_NOTHING = "(none)"


def flatten(value: Mapping[str, Any]) -> dict[str, str]:
    """Every value by its dotted path; what is None is left out."""
    flat: dict[str, str] = {}
    _flatten("", dict(value), flat)
    return flat


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """A line for each path whose value is another, in the order of the paths."""
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old != new:
            yield f"{key}: {_shown(key, old)} → {_shown(key, new)}"


def _flatten(prefix: str, value: Any, flat: dict[str, str]) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _flatten(f"{prefix}.{key}" if prefix else str(key), item, flat)
    elif value is not None:
        flat[prefix] = " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _shown(key: str, value: str | None) -> str:
    if value is None:
        return _NOTHING
    secret = any(word in key.upper() for word in _SECRET)
    return "(hidden)" if secret and key.startswith("env.") else value
