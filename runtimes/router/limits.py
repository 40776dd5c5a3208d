"""How much and how long: the bounds that keep one client or service from taking what all need."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are bytes, times are seconds.

    `request` and `answer` bound JSON-RPC bodies, which are read whole; others stream and have no bound. Of
    callers that are not known, no more than `login` is gathered. `buffered` is for all of them together.
    `answering` is from the last byte of a request to the first of its answer, and between two pieces of the
    answer to a call; `stalled` how long a reader may stand still, or a sender in the middle of a body. An
    upstream connection is not used again after `upstream_idle`: it has to be shorter than the services' own
    limit, or a request may meet their closing (gunicorn's is 2 s, Node's and uvicorn's 5 s).
    `holding` is how long requests wait for a service that is being switched, `replacing` for one that
    crashed; `held_by_service`, `held` (in all) and `held_bytes` are how many may.
    """

    head: int = 16 * 1024
    request: int = 4 * 1024 * 1024
    login: int = 16 * 1024
    answer: int = 32 * 1024 * 1024
    buffered: int = 256 * 1024 * 1024
    reading_head: float = 10.0
    idle: float = 75.0
    answering: float = 60.0
    stalled: float = 60.0
    connecting: float = 5.0
    lingering: float = 2.0
    lingering_at_most: float = 30.0
    upstream_idle: float = 1.5
    connections: int = 50_000
    holding: float = 30.0
    replacing: float = 2.0
    held_by_service: int = 1_000
    held: int = 5_000
    held_bytes: int = 64 * 1024 * 1024
    #: Requests a minute and address of callers that are not known (the original's number).
    anonymous: int = 10_000
