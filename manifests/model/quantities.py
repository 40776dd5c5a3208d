"""Durations and sizes as people write them: `100ms`, `1m30s`, `256Mi`.

Durations become seconds (float), sizes become bytes (int). A bare number is seconds or bytes.
Suffixes follow Go's durations and Kubernetes' quantities. Both have an end that no machine reaches: beyond
it clocks and kernels take what was written for something else, or for nothing.
"""

from __future__ import annotations

import re

from manifests.model.base import not_a

#: Ten years, in seconds.
LONGEST = 3650 * 86400.0
#: A pebibyte; cgroups and engines count in 63 bits.
LARGEST = 2**50

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SIZE_UNITS = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(|k|M|G|T|Ki|Mi|Gi|Ti)")


def parse_duration(value: object) -> float:
    """Seconds for `"1m30s"`, `"100ms"`, `5`. Raises ValueError for anything else, and out of bounds."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not 0 <= value <= LONGEST:
            raise not_a(value, "between 0 and 3650d", "for example 100ms, 30s or 5m")
        return float(value)
    if isinstance(value, str) and _DURATION.fullmatch(value.strip()):
        seconds = sum(float(number) * _DURATION_UNITS[unit] for number, unit in _DURATION_PART.findall(value))
        if seconds > LONGEST:
            raise not_a(value, "a duration of at most 3650d", "a shorter one")
        return seconds
    raise not_a(value, "a duration", "for example 100ms, 30s or 5m")


def format_duration(seconds: float) -> str:
    """The shortest way to say it: `100ms`, `30s`, `5m`, `1.5s`."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms"
    for unit in ("d", "h", "m"):
        size = _DURATION_UNITS[unit]
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def parse_size(value: object) -> int:
    """Bytes for `"256Mi"`, `"1G"`, `1048576`. Raises ValueError for anything else, and out of bounds."""
    size: float = 0
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        size = float(match[1]) * _SIZE_UNITS[match[2]]
    if size > LARGEST:
        raise not_a(value, "a size of at most 1024Ti", "a smaller one")
    if size >= 1:
        return int(size)
    raise not_a(value, "a size", "for example 256Mi or 1G")


def format_size(size: float) -> str:
    """The largest unit that fits: `12 B`, `3.4 MiB`."""
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if size >= 1024**power:
            return f"{size / 1024**power:.1f} {unit}"
    return f"{size:.0f} B"
