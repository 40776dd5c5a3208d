"""Patterns for ids and APIs: `*` stands for anything, also for nothing; every other character for itself.

With no other wildcard, a pattern that matches another pattern's text matches whatever that one matches, so
what a pattern asks for can be judged by a pattern. Pure.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ANYTHING = "*"


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern stands for the text. Small and capital letters differ."""
    if ANYTHING not in pattern:
        return pattern == text
    return _expression(pattern).fullmatch(text) is not None


def matches_any(patterns: Iterable[str], text: str) -> bool:
    return any(matches(pattern, text) for pattern in patterns)


@lru_cache(maxsize=1024)
def _expression(pattern: str) -> re.Pattern[str]:
    # Possessive up to the next literal would be wrong, so the groups are atomic: the first place where a
    # literal fits is as good as any later one, and no text takes exponential time.
    first, *middle, last = pattern.split(ANYTHING)
    found = "".join(f"(?>.*?{re.escape(part)})" for part in middle if part)
    return re.compile(f"{re.escape(first)}{found}.*{re.escape(last)}", re.DOTALL)
