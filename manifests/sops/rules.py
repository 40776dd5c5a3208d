"""Which values of a file are encrypted: one rule a file, written in it.

Patterns are searched for in each key on the way to a value (or in the comments above it), and keys in lists
are those of the list. They come from elsewhere and may be anybody's, so they are matched in linear time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from manifests.sops.trouble import SopsTrouble

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from manifests.sops.tree import Above, Path

KINDS = (
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
)
_LONGEST = 4096


@dataclass(frozen=True)
class Rule:
    """`kind` is one of KINDS. The default leaves in plain text what says so in its key."""

    kind: str = "unencrypted_suffix"
    pattern: str = "_unencrypted"

    def encrypts(self, path: Path, above: Above, *, is_comment: bool) -> bool:
        """Whether the value there is encrypted. `above`: comments, with a comment itself as the last one."""
        if self.kind == "encrypted_comment_regex":
            return any(map(self._matches, _earlier(above) if is_comment else _all(above)))
        if self.kind == "unencrypted_comment_regex":
            return not any(map(self._matches, _all(above)))
        return any(map(self._matches, path)) is not self.kind.startswith("unencrypted")

    @cached_property
    def _matches(self) -> Callable[[str], bool]:
        if self.kind.endswith("_suffix"):
            return lambda text: text.endswith(self.pattern)
        return search(self.pattern)


#: What holds where nothing is said.
DEFAULT = Rule()


def read_rule(values: Mapping[str, object]) -> Rule | None:
    """The rule among a file's metadata or a creation rule's keys; None for none. Raises SopsTrouble."""
    said = [(kind, value) for kind in KINDS if (value := values.get(kind)) not in (None, "")]
    if not said:
        return None
    if len(said) > 1:
        both = " and ".join(kind for kind, _ in said)
        raise SopsTrouble("BrokenFile", f"it has {both}, which exclude each other", "leave one of them")
    kind, pattern = said[0]
    if not isinstance(pattern, str) or len(pattern) > _LONGEST:
        raise SopsTrouble("BrokenFile", f"its {kind} is no pattern")
    rule = Rule(kind, pattern)
    if kind.endswith("_regex"):
        search(pattern)
    return rule


def search(pattern: str) -> Callable[[str], bool]:
    """Whether a text contains the pattern. Raises SopsTrouble for what is no pattern."""
    import jsonschema_rs

    try:
        validator = jsonschema_rs.Draft7Validator(
            {"pattern": pattern}, pattern_options=jsonschema_rs.RegexOptions(size_limit=1 << 20)
        )
    except (ValueError, jsonschema_rs.ValidationError):
        raise SopsTrouble(
            "BrokenFile", f"{pattern!r} is no regular expression", "RE2's syntax, without lookaround"
        ) from None
    return validator.is_valid


def _all(above: Above) -> list[str]:
    return [text for level in above for text in level]


def _earlier(above: Above) -> list[str]:
    """A comment that says what follows is encrypted does not hide itself."""
    return _all(above)[:-1]
