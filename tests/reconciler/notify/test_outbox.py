"""Who is told what, and when."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.notify.facts import Fact, Facts
from reconciler.notify.outbox import (
    MOST,
    TOGETHER,
    Message,
    Outbox,
    Queue,
    address_id,
    due,
    enqueue,
    sent,
    written,
)
from reconciler.state.notify_settings import NotifySettings

NTFY = NotifySettings(url="ntfy://localhost/alerts")
MAIL = NotifySettings(url="mailto://localhost/?to=a@example.com", on=("Updated",))


def stalled(name: str, reason: str = "BadConfig") -> Fact:
    return Fact("Stalled", name, reason, f"{reason}: oh", name)


def so(*facts: Fact, there: tuple[str, ...] = (), **more: Any) -> Facts:
    ids = frozenset(there) | {fact.service for fact in facts if fact.service} | more.get("serving", {}).keys()
    return Facts({fact.key: fact for fact in facts}, there=ids, **more)


def texts(outbox: Outbox, address: NotifySettings = NTFY) -> list[str]:
    queue = outbox.queues[address_id(address)]
    return written(queue, "pi")[1].split("\n") if queue.messages else []


def test_what_is_new_is_told_once() -> None:
    outbox = enqueue(Outbox(), so(stalled("notes")), [NTFY], 1.0)
    assert texts(outbox) == ["notes is stalled: BadConfig: oh"]
    outbox = sent(outbox, NTFY, outbox.queues[address_id(NTFY)])
    assert enqueue(outbox, so(stalled("notes")), [NTFY], 2.0) == outbox
    assert texts(enqueue(outbox, so(stalled("notes", "CrashLoopBackOff")), [NTFY], 3.0)) == [
        "notes is stalled: CrashLoopBackOff: oh"
    ]


def test_what_is_over_is_told_too_but_not_of_what_is_deleted() -> None:
    outbox = Outbox({"Stalled notes": "X", "Stalled old": "X", "DiskLow disk": "DiskLow"})
    outbox = enqueue(outbox, so(there=("notes",)), [NTFY], 1.0)
    assert sorted(texts(outbox)) == ["notes works again", "the disk has room again"]
    assert not outbox.known


def test_another_trouble_is_no_recovery() -> None:
    reverted = Fact("Reverted", "notes", "HealthyDeadlineExceeded", "slow", "notes")
    outbox = enqueue(Outbox({"Stalled notes": "X"}), so(reverted), [NTFY], 1.0)
    assert texts(outbox) == ["notes went back to what ran before: slow"]


def test_what_cannot_be_told_now_is_not_over() -> None:
    outbox = Outbox({"Stalled notes": "X"})
    unsure = so(there=("notes",), unsure=frozenset({"Stalled notes"}))
    assert enqueue(outbox, unsure, [NTFY], 1.0).known == {"Stalled notes": "X"}
    assert texts(enqueue(outbox, unsure, [NTFY], 1.0)) == []


def test_the_first_revision_is_no_update_and_every_address_gets_what_it_wants() -> None:
    outbox = enqueue(Outbox(), so(serving={"notes": "aaaaaaaaaa"}), [NTFY, MAIL], 1.0)
    assert texts(outbox, MAIL) == []
    outbox = enqueue(outbox, so(stalled("x"), serving={"notes": "bbbbbbbbbb"}), [NTFY, MAIL], 1.0)
    assert texts(outbox, MAIL) == ["notes is updated: revision bbbbbbbb serves"]
    assert texts(outbox) == ["x is stalled: BadConfig: oh"]


def test_only_services_that_an_address_is_for() -> None:
    some = NotifySettings(url="ntfy://localhost/x", services=("h*",))
    facts = so(stalled("home"), stalled("notes"), Fact("DiskLow", "disk", "DiskLow", "little"))
    assert texts(enqueue(Outbox(), facts, [some], 1.0), some) == [
        "home is stalled: BadConfig: oh",
        "the disk is nearly full: little",
    ]


def test_what_flaps_before_it_is_told_is_one_line() -> None:
    outbox = Outbox()
    for moment in range(5):
        outbox = enqueue(outbox, so(stalled("notes")), [NTFY], float(moment))
        outbox = enqueue(outbox, so(there=("notes",)), [NTFY], moment + 0.5)
    assert texts(outbox) == ["notes works again: it was not 5 times"]


def test_an_address_that_is_away_for_long_is_owed_a_bounded_number() -> None:
    outbox = Outbox()
    for number in range(MOST + 7):
        outbox = enqueue(outbox, so(stalled(f"s{number}")), [NTFY], float(number))
    queue = outbox.queues[address_id(NTFY)]
    assert (len(queue.messages), queue.dropped) == (MOST, 7)
    assert written(queue, "pi")[1].startswith("7 older messages are not shown\n")
    assert written(queue, "pi")[0] == f"pi: {MOST + 7} messages"


def test_an_address_that_is_gone_is_owed_nothing() -> None:
    outbox = enqueue(Outbox(), so(stalled("notes")), [NTFY], 1.0)
    assert enqueue(outbox, so(stalled("notes")), [MAIL], 2.0).queues.keys() == {address_id(MAIL)}


def message(time: float) -> Queue:
    return Queue((Message(time, "Stalled", "notes", ""),))


def test_when_it_is_due() -> None:
    assert due(Queue(), NTFY, 100.0, 0) == inf
    assert due(message(100.0), NTFY, 100.0, 0) == TOGETHER
    assert due(message(100.0), NTFY, 100.0 + TOGETHER, 0) == 0
    # The clock was put back by a day.
    assert due(message(100_000.0), NTFY, 100.0, 0) == 0
    hourly = NotifySettings(url="ntfy://localhost/x", digest=3600.0)
    assert due(message(100.0), hourly, 700.0, 0) == 3000.0


@pytest.mark.parametrize(
    ("quiet", "minute", "seconds"),
    [
        ("22:00-07:00", 23 * 60, 8 * 3600),
        ("22:00-07:00", 6 * 60 + 59, 60),
        ("22:00-07:00", 7 * 60, 0),
        ("22:00-07:00", 21 * 60 + 59, 0),
        ("13:00-14:30", 13 * 60, 90 * 60),
        ("00:00-00:00", 12 * 60, 0),
        ("", 0, 0),
    ],
)
def test_quiet_hours(quiet: str, minute: int, seconds: float) -> None:
    address = NotifySettings(url="ntfy://localhost/x", quiet=quiet)
    assert due(message(0.0), address, 1000.0, minute) == seconds


def test_what_comes_while_something_is_sent_is_owed_still() -> None:
    outbox = enqueue(Outbox(), so(stalled("a")), [NTFY], 1.0)
    sending = outbox.queues[address_id(NTFY)]
    outbox = enqueue(outbox, so(stalled("a"), stalled("b")), [NTFY], 2.0)
    assert texts(sent(outbox, NTFY, sending)) == ["b is stalled: BadConfig: oh"]


@given(st.lists(st.tuples(st.sets(st.sampled_from("abc")), st.booleans()), max_size=30))
def test_whoever_reads_all_messages_knows_what_is_so(steps: list[tuple[set[str], bool]]) -> None:
    """Whenever messages were sent, or not for a while: the last one about a service says how it is."""
    outbox, told = Outbox(), dict.fromkeys("abc", False)

    def read() -> None:
        nonlocal outbox
        queue = outbox.queues[address_id(NTFY)]
        told.update({each.subject: not each.over for each in queue.messages})
        outbox = sent(outbox, NTFY, queue)

    for moment, (troubled, send) in enumerate([*steps, ({"a"}, True)]):
        outbox = enqueue(
            outbox, so(*map(stalled, sorted(troubled)), there=tuple("abc")), [NTFY], float(moment)
        )
        if send:
            read()
            assert {each for each, is_so in told.items() if is_so} == troubled
