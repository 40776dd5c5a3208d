"""Guessing passwords on a clock of the test's own."""

from __future__ import annotations

import random

import pytest

from reconciler.people.throttle import FREE, FREE_OF_NAME, LOCAL_LONGEST, LONGEST, MOST, Throttle, network

HOUR = 3600.0


def guesses(throttle: Throttle, name: str, address: str, seconds: float, *, start: float = 0.0) -> int:
    """How many one address gets to make in that time, as fast as it may."""
    now, made = start, 0
    while now < start + seconds:
        if (wait := throttle.wait(name, address, now)) > 0:
            now += wait
            continue
        throttle.failed(name, address, now)
        made += 1
        now += 0.05
    return made


def test_a_few_mistakes_cost_nothing_and_many_cost_ever_more() -> None:
    throttle = Throttle()
    for _ in range(FREE):
        assert throttle.wait("alice", "10.0.0.1", 0.0) == 0
        throttle.failed("alice", "10.0.0.1", 0.0)
    waits = []
    now = 0.0
    for _ in range(12):
        now += throttle.wait("alice", "10.0.0.1", now)
        throttle.failed("alice", "10.0.0.1", now)
        waits.append(throttle.wait("alice", "10.0.0.1", now))
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == LONGEST


def test_a_day_of_guessing_is_a_hundred_guesses() -> None:
    assert guesses(Throttle(), "alice", "10.0.0.1", 24 * HOUR) < 130


def test_many_addresses_guess_at_one_name_no_faster() -> None:
    throttle, made, now = Throttle(), 0, 0.0
    for number in range(5000):
        address = f"10.{number // 250}.{number % 250}.1"
        if throttle.wait("alice", address, now) == 0:
            throttle.failed("alice", address, now)
            made += 1
        now += 1.0
    assert made < FREE_OF_NAME + 20


def test_many_names_from_one_address_are_guessed_no_faster() -> None:
    throttle, made = Throttle(), 0
    for number in range(1000):
        if throttle.wait(f"user{number}", "10.0.0.1", 0.1 * number) == 0:
            throttle.failed(f"user{number}", "10.0.0.1", 0.1 * number)
            made += 1
    assert made < FREE + 10


def test_a_stranger_locks_nobody_out_at_home() -> None:
    throttle = Throttle()
    throttle.failed("alice", "10.0.0.5", 0.0)
    throttle.succeeded("alice", "10.0.0.5", 0.0)
    for number in range(1000):
        throttle.failed("alice", f"10.9.{number % 250}.{number // 250}", 1.0)
    assert throttle.wait("alice", "10.9.250.1", 1.0) > 0
    for at_home in ("", "127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.5"):
        assert throttle.wait("alice", at_home, 1.0) == 0


def test_on_the_machine_itself_nobody_waits_long() -> None:
    throttle = Throttle()
    for _ in range(50):
        throttle.failed("alice", "127.0.0.1", 0.0)
    assert throttle.wait("alice", "127.0.0.1", 0.0) == LOCAL_LONGEST
    assert throttle.wait("alice", "10.0.0.1", 0.0) == 0


def test_a_password_of_ones_own_makes_no_guess_at_anothers_free() -> None:
    """Mallory, who has an account, signs in after each guess at Alice's."""
    throttle, now, made = Throttle(), 0.0, 0
    for _ in range(300):
        if throttle.wait("alice", "10.0.0.1", now) == 0:
            throttle.failed("alice", "10.0.0.1", now)
            made += 1
        if throttle.wait("mallory", "10.0.0.1", now) == 0:
            throttle.failed("mallory", "10.0.0.1", now)
            throttle.succeeded("mallory", "10.0.0.1", now)
        now += 1.0
    assert made < 20


def test_after_an_hour_of_peace_it_is_forgotten() -> None:
    throttle = Throttle()
    for _ in range(FREE + 1):
        throttle.failed("alice", "10.0.0.1", 0.0)
    assert throttle.wait("alice", "10.0.0.1", 0.0) == 1
    throttle.failed("alice", "10.0.0.1", HOUR + 2)
    assert throttle.wait("alice", "10.0.0.1", HOUR + 2) == 0


def test_memory_is_bounded_and_those_who_guess_are_not_the_ones_forgotten() -> None:
    throttle = Throttle()
    for number in range(3 * MOST):
        throttle.failed(f"n{number}", f"{number % 250}.{number // 250 % 250}.{number // 62500}.9", 0.0)
        if number % 100 == 0:
            throttle.failed("alice", "8.8.8.8", 0.0)
        throttle.succeeded(f"m{number}", "10.0.0.1", 0.0)
    assert len(throttle) <= MOST
    assert len(throttle._trusted) <= MOST
    assert throttle.wait("alice", "8.8.8.8", 0.0) > 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("no address", "no address", True),
    ],
)
def test_whose_addresses_are_one(one: str, other: str, same: bool) -> None:
    assert (network(one) == network(other)) is same


def test_whatever_happens_no_wait_is_longer_than_the_longest() -> None:
    chance, throttle, now = random.Random(1), Throttle(), 0.0
    for _ in range(20_000):
        now += chance.expovariate(1.0)
        name, address = (
            chance.choice(["alice", "bob"]),
            chance.choice(["", "10.0.0.1", "10.0.0.2", "2001:db8::1"]),
        )
        chance.choice([throttle.failed, throttle.failed, throttle.succeeded])(name, address, now)
        assert 0 <= throttle.wait(name, address, now) <= LONGEST
