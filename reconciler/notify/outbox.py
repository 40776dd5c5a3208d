"""Who is told what, and when: what is so now beside what was told last. Pure.

    facts ─► tell: what is new goes into the queue of each address that wants it
             due:  how long the queue of an address waits: for others (digest), or for the morning (quiet)
             sent: what an address took is in no queue any more

The value is kept on disk between any two of these steps. So a message may come twice, and none is lost.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING

from manifests.model.patterns import matches_any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconciler.notify.facts import Fact, Facts
    from reconciler.state.notify_settings import NotifySettings

#: Seconds that a message waits for others: what one cause does to ten services comes as one message.
TOGETHER = 3.0
#: Messages that an address may be owed; then the oldest are only counted.
MOST = 200
_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Message:
    """`time`: seconds since 1970. `over`: it is no longer so. `times`: how often it
    became so since the address was told of it."""

    time: float
    kind: str
    subject: str
    text: str
    service: str = ""
    over: bool = False
    times: int = 1


@dataclass(frozen=True, slots=True)
class Queue:
    """What an address is owed, the oldest first. `dropped`: messages of which only the number is left."""

    messages: tuple[Message, ...] = ()
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Outbox:
    """`known`: the reason of each fact that was told, by its key. `serving`: id → revision, as told last."""

    known: Mapping[str, str] = field(default_factory=dict)
    serving: Mapping[str, str] = field(default_factory=dict)
    queues: Mapping[str, Queue] = field(default_factory=dict)


def address_id(address: NotifySettings) -> str:
    """By what the queue of an address is known, which is no secret as its URL is."""
    return hashlib.sha256(address.url.encode()).hexdigest()[:12]


def enqueue(outbox: Outbox, facts: Facts, addresses: Sequence[NotifySettings], now: float) -> Outbox:
    """With what is new in the queues of those who want it, and no queues of addresses that are gone."""
    messages = list(_changes(outbox, facts, now))
    queues = {}
    for address in addresses:
        queue = outbox.queues.get(address_id(address), Queue())
        for message in messages:
            if _wants(address, message):
                queue = _with(queue, message)
        queues[address_id(address)] = queue
    still = {key: reason for key, reason in outbox.known.items() if key in facts.unsure}
    known = still | {key: fact.reason for key, fact in facts.so.items()}
    gone = outbox.serving.keys() - facts.there if facts.whole else frozenset()
    serving = {each: revision for each, revision in outbox.serving.items() if each not in gone}
    return Outbox(known, {**serving, **facts.serving}, queues)


def due(queue: Queue, address: NotifySettings, now: float, minute: int) -> float:
    """Seconds until what is owed may be sent; `minute` of the day by this machine's clock. Never: inf."""
    if not queue.messages:
        return inf
    waited = now - min(message.time for message in queue.messages)
    # A clock that was put back must not make anybody wait until it shows again what it showed.
    together = max(TOGETHER, address.digest) - waited if waited >= 0 else 0.0
    return max(together, _quiet(address, minute), 0.0)


def sent(outbox: Outbox, address: NotifySettings, queue: Queue) -> Outbox:
    """`queue` is what was sent; what came meanwhile is owed still."""
    key = address_id(address)
    now = outbox.queues.get(key, Queue())
    left = tuple(message for message in now.messages if message not in queue.messages)
    return replace(outbox, queues={**outbox.queues, key: Queue(left, max(0, now.dropped - queue.dropped))})


def written(queue: Queue, node: str) -> tuple[str, str]:
    """Title and text for people."""
    lines = [_line(message) for message in queue.messages]
    if queue.dropped:
        lines.insert(0, f"{queue.dropped} older messages are not shown")
    if len(lines) == 1:
        message = queue.messages[0]
        return f"{node}: {_headline(message)}", _line(message)
    return f"{node}: {len(queue.messages) + queue.dropped} messages", "\n".join(lines)


def _changes(outbox: Outbox, facts: Facts, now: float) -> Iterator[Message]:
    for key, fact in facts.so.items():
        if outbox.known.get(key) != fact.reason:
            yield _message(fact, now)
    troubled = {fact.subject for fact in facts.so.values()}
    for key in outbox.known.keys() - facts.so.keys() - facts.unsure:
        kind, _, subject = key.partition(" ")
        service = _service(kind, subject)
        # What is deleted does not work again, nor what has another trouble now.
        if (not service or service in facts.there) and subject not in troubled:
            yield Message(now, kind, subject, "", service, over=True, times=0)
    for service, revision in facts.serving.items():
        if service in outbox.serving and outbox.serving[service] != revision:
            yield Message(now, "Updated", service, f"revision {revision[:8]} serves", service)


def _message(fact: Fact, now: float) -> Message:
    return Message(now, fact.kind, fact.subject, fact.text, fact.service)


def _service(kind: str, subject: str) -> str:
    """The id of the service that it concerns, if any."""
    return subject if kind in ("Stalled", "Reverted") and not subject.startswith("source ") else ""


def _wants(address: NotifySettings, message: Message) -> bool:
    concerned = not message.service or matches_any(address.services, message.service)
    return message.kind in address.on and concerned


def _with(queue: Queue, message: Message) -> Queue:
    """The last about a thing stands for all that nobody was told of; the first says since when it waits."""
    same = [each for each in queue.messages if _about(each) == _about(message)]
    rest = [each for each in queue.messages if _about(each) != _about(message)]
    first = min([message.time, *(each.time for each in same)])
    times = message.times + sum(each.times for each in same)
    messages = [*rest, replace(message, time=first, times=times)]
    too_many = max(0, len(messages) - MOST)
    return Queue(tuple(messages[too_many:]), queue.dropped + too_many)


def _about(message: Message) -> tuple[str, str]:
    return message.kind, message.subject


def _quiet(address: NotifySettings, minute: int) -> float:
    begin, end = address.quiet_minutes
    inside = (minute - begin) % _DAY < (end - begin) % _DAY
    return 60.0 * ((end - minute) % _DAY) if inside else 0.0


def _headline(message: Message) -> str:
    if message.kind == "Updated":
        return f"{message.subject} is updated"
    if message.over:
        return _OVER[message.kind].format(message.subject)
    return _SO[message.kind].format(message.subject)


_SO = {
    "Stalled": "{} is stalled",
    "Reverted": "{} went back to what ran before",
    "NodeAway": "{} is away",
    "DiskLow": "the disk is nearly full",
}
_OVER = {
    "Stalled": "{} works again",
    "Reverted": "{} is as it is wanted again",
    "NodeAway": "{} is there again",
    "DiskLow": "the disk has room again",
}


def _line(message: Message) -> str:
    if message.over:
        told = f"it was not {message.times} times" if message.times > 1 else ""
    else:
        told = f"{message.times} times" if message.times > 1 else ""
    return ": ".join(part for part in (_headline(message), told, message.text) if part)
