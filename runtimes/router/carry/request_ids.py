"""Names for requests that come without one. Each request needs one, so they are made in C, 256 at a time."""

from __future__ import annotations

import os
from itertools import chain, count, repeat
from operator import add
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDINGS = [b"%02x" % number for number in range(256)]


def request_ids() -> Iterator[bytes]:
    """Endless. Of two routers or two lives of one, hardly any are equal; in one of them, none."""
    name = os.urandom(4).hex().encode()
    beginnings = (b"%b%06x" % (name, number) for number in count())
    return chain.from_iterable(map(add, repeat(beginning), _ENDINGS) for beginning in beginnings)
