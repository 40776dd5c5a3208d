"""Codes, and what becomes of one: only who knows it pairs, once, in time, with the key that it proves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.remote.codes import SECRET, BadCode, Code, format_code, parse_code
from reconciler.remote.pairing import (
    GOOD_FOR,
    MOST_WRONG,
    Newcomer,
    Offer,
    answer,
    clean_name,
    request_of,
    seed_of,
    understand_welcome,
    welcome,
)

THE_SECRET, KEY, OTHER, HOME = b"s" * SECRET, "ab" * 32, "cd" * 32, "ef" * 32
OFFER = Offer(THE_SECRET, until=GOOD_FOR)


@given(
    st.binary(min_size=SECRET, max_size=SECRET),
    st.sampled_from([(), ("10.0.0.7:49737",), ("h:1", "[::1]:2")]),
)
def test_a_code_is_read_as_it_was_written(secret: bytes, bootstrap: tuple[str, ...]) -> None:
    code = Code(secret, bootstrap)
    text = format_code(code)
    assert parse_code(text) == code
    assert (
        parse_code(f"  {text.partition('@')[0].lower().replace('-', ' ')}@{text.partition('@')[2]} ") == code
    )


@given(st.integers(0, 27), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_a_slip_of_the_pen_is_mostly_told_and_never_another_meeting_place(place: int, letter: str) -> None:
    letters = format_code(Code(THE_SECRET)).partition("@")[0].replace("-", "")
    wrong = letters[:place] + letter + letters[place + 1 :]
    if wrong == letters:
        return
    try:
        assert parse_code(f"{wrong}@public").secret != THE_SECRET
    except BadCode as error:
        assert str(error)


@pytest.mark.parametrize(
    "text", ["", "abc", "@public", "0000-@x:1", format_code(Code(THE_SECRET))[:-6] + "x:0"]
)
def test_what_is_no_code_says_why(text: str) -> None:
    with pytest.raises(BadCode):
        parse_code(text)


def test_who_knows_the_code_pairs_once() -> None:
    said = request_of(THE_SECRET, KEY, "My Laptop!")
    used, newcomer = answer(OFFER, KEY, said, 1.0)
    assert newcomer == Newcomer(KEY, "my-laptop")
    assert answer(used, KEY, said, 1.0) == (used, None)
    assert answer(used, OTHER, request_of(THE_SECRET, OTHER, "x"), 1.0)[1] is None


def test_what_another_device_said_is_no_proof() -> None:
    said = request_of(THE_SECRET, KEY, "laptop")
    after, newcomer = answer(OFFER, OTHER, said, 1.0)
    assert newcomer is None
    # And it is still good for the one that it is for.
    assert answer(after, KEY, said, 1.0)[1] is not None


def test_it_is_good_for_two_minutes() -> None:
    assert answer(OFFER, KEY, request_of(THE_SECRET, KEY, "x"), GOOD_FOR)[1] is None


@given(st.lists(st.text() | st.none() | st.integers() | st.dictionaries(st.text(), st.text()), min_size=1))
def test_who_guesses_makes_it_good_for_nobody(guesses: list[object]) -> None:
    offer = OFFER
    for guess in guesses:
        offer, newcomer = answer(offer, OTHER, {"proof": guess}, 1.0)
        assert newcomer is None
    is_open = answer(offer, KEY, request_of(THE_SECRET, KEY, "x"), 1.0)[1] is not None
    assert is_open == (len(guesses) < MOST_WRONG)


def test_the_device_takes_only_the_home_that_knows_the_code() -> None:
    said = welcome(THE_SECRET, KEY, HOME, "home")
    assert understand_welcome(THE_SECRET, KEY, said) == (HOME, "home")
    assert understand_welcome(THE_SECRET, OTHER, said) is None
    assert understand_welcome(b"t" * SECRET, KEY, said) is None
    assert understand_welcome(THE_SECRET, KEY, {**said, "key": OTHER}) is None
    # What the device said itself, sent back to it.
    assert understand_welcome(THE_SECRET, KEY, {**request_of(THE_SECRET, KEY, "x"), "key": HOME}) is None
    assert understand_welcome(THE_SECRET, KEY, ["x"]) is None


def test_each_code_has_a_meeting_of_its_own() -> None:
    assert len({seed_of(bytes([number]) * SECRET) for number in range(50)}) == 50


@given(st.text() | st.none() | st.integers())
def test_any_name_can_be_shown(name: object) -> None:
    shown = clean_name(name)
    assert shown and len(shown) <= 40 and shown.isascii() and shown == clean_name(shown)
