"""The numbers that services' users are taken from: `700000-765535`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Below are the machine's own users and people; the last number means nobody (chown(2)).
LEAST, MOST = 2000, 2**32 - 2
#: Numbers that have a meaning of their own: nobody's, and what does not fit into 16 bits.
_MEANT = frozenset({65534, 65535})
_RANGE = re.compile(r"(\d{1,10})-(\d{1,10})")


@dataclass(frozen=True, slots=True)
class UserRange:
    """From `first` to `last`, both of them in it; each number is a user and its group.

    The last two are groups only: all services' users are in `passing`, all containers in `containers`.
    """

    first: int
    last: int

    @property
    def passing(self) -> int:
        return self.last

    @property
    def containers(self) -> int:
        return self.last - 1

    def __contains__(self, number: int) -> bool:
        return self.first <= number < self.containers and number not in _MEANT

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def free(self, taken: frozenset[int]) -> int | None:
        """The lowest that nobody has; None where there is none."""
        for number in range(self.first, self.containers):
            if number not in taken and number in self:
                return number
        return None


def parse_user_range(text: str) -> UserRange:
    """Raises ValueError with a sentence."""
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        raise ValueError("users is a range of numbers, like 700000-765535")
    first, last = int(found[1]), int(found[2])
    if not LEAST <= first <= last - 2 <= MOST - 2:
        raise ValueError(
            f"users is a range of three or more, from {LEAST} to {MOST} at most, the lowest first"
        )
    return UserRange(first, last)
