"""How often somebody may guess a password. Pure: the moment is said by whoever asks (seconds, monotonic).

Two counts of failures, each with a few that are free and a wait that doubles: of the address that asks, and
of the name that is asked about, against those who have many addresses. A name's count is no way to lock its
owner out: it is not asked for on the machine itself, nor at an address from which that person signed in
before. What is not guessed at for an hour is forgotten, and so is the oldest where there are too many.

    failures   1 … FREE      wait 0
               FREE + n      wait FIRST * 2 ** (n - 1), at most LONGEST (on loopback LOCAL_LONGEST)
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Failures that cost nothing: of an address, and of a name.
FREE, FREE_OF_NAME = 5, 20
#: Seconds.
FIRST, LONGEST, LOCAL_LONGEST = 1.0, 900.0, 30.0
FORGOTTEN = 3600.0
#: Counts that are kept, and addresses from which people signed in.
MOST = 10_000


@dataclass(frozen=True, slots=True)
class _Count:
    failures: int
    last: float
    until: float


class Throttle:
    """Mutable, for one node; forgets everything when that ends."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], _Count] = {}
        self._trusted: dict[tuple[str, str], None] = {}

    def wait(self, name: str, address: str, now: float) -> float:
        """Seconds until this address may try for this name again; 0 when it may now."""
        counts = (self._current(key, now) for key in self._keys(name, address))
        until = max((count.until for count in counts if count), default=0.0)
        return min(max(0.0, until - now), LONGEST)

    def failed(self, name: str, address: str, now: float) -> None:
        """Counts one as wrong. Call it before it is looked at, so that many at once are counted, too."""
        for key in self._keys(name, address):
            count = self._current(key, now)
            failures = count.failures + 1 if count else 1
            self._put(key, _Count(failures, now, now + _wait(key, failures, address)))

    def succeeded(self, name: str, address: str, now: float) -> None:
        """What `failed` counted was right after all: that one is taken back, and no other.

        So who has a password of their own gains nothing for guessing another's. The address is that
        person's from now on.
        """
        for key in self._keys(name, address):
            if (count := self._current(key, now)) is not None:
                self._put(key, _Count(count.failures - 1, count.last, min(count.until, now)))
        self._trusted.pop((name, network(address)), None)
        self._trusted[name, network(address)] = None
        while len(self._trusted) > MOST:
            del self._trusted[next(iter(self._trusted))]

    def __len__(self) -> int:
        return len(self._counts)

    def _keys(self, name: str, address: str) -> Iterator[tuple[str, str]]:
        yield "address", network(address)
        # What is asked from here, or from where that person was before, nobody elsewhere can spoil.
        if not is_local(address) and (name, network(address)) not in self._trusted:
            yield "name", name

    def _current(self, key: tuple[str, str], now: float) -> _Count | None:
        count = self._counts.get(key)
        if count is not None and now - count.last > FORGOTTEN and now >= count.until:
            del self._counts[key]
            return None
        return count

    def _put(self, key: tuple[str, str], count: _Count) -> None:
        """The newest is the last: where there are too many, the one goes that was not counted for longest."""
        self._counts.pop(key, None)
        self._counts[key] = count
        while len(self._counts) > MOST:
            del self._counts[next(iter(self._counts))]


def is_local(address: str) -> bool:
    """Whether somebody asks from this machine; "" is a Unix socket of it."""
    if not address:
        return True
    try:
        return _parsed(address).is_loopback
    except ValueError:
        return False


def network(address: str) -> str:
    """Whom an address is counted with: of IPv6, a subscriber has a whole /64."""
    try:
        parsed = _parsed(address)
    except ValueError:
        return address[:64]
    if parsed.version == 4 or parsed.is_loopback:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def _wait(key: tuple[str, str], failures: int, address: str) -> float:
    beyond = failures - (FREE_OF_NAME if key[0] == "name" else FREE)
    if beyond <= 0:
        return 0.0
    longest = LOCAL_LONGEST if is_local(address) else LONGEST
    return min(FIRST * 2.0 ** min(beyond - 1, 30), longest)
