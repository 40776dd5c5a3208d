"""Links: what one node prints, the other reads, whatever a person does to it on the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyper.encoding.link import BadLink, Link, format_link, parse_link, split_address

KEY, NOISE = "a1" * 32, "0f" * 32

keys = st.text("0123456789abcdef", min_size=64, max_size=64)
hosts = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda each: f"[{each}]"),
    st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z]{1,10})?", fullmatch=True),
)
addresses = st.builds(lambda host, port: f"{host}:{port}", hosts, st.integers(1, 65535))
links = st.builds(Link, keys, st.just("") | keys, st.just("") | addresses)


@given(links)
def test_a_link_is_read_as_it_was_printed(link: Link) -> None:
    assert parse_link(format_link(link)) == link


@given(links, st.sampled_from(["", " ", "\n"]))
def test_spaces_and_capitals_do_no_harm(link: Link, space: str) -> None:
    assert parse_link(f"{space}{link.key.upper()}{space}") == Link(link.key)
    assert parse_link(f"{space}{format_link(link)}{space}") == link


@given(st.text() | st.text("hyper:/?&=[]@.0af", max_size=100))
def test_anything_else_is_refused_with_a_sentence(text: str) -> None:
    try:
        link = parse_link(text)
    except BadLink as error:
        assert str(error)
    else:
        assert parse_link(format_link(link)) == link


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "neither a key"),
        (KEY[:-1], "neither a key"),
        (f"http://{KEY}", "neither a key"),
        (f"hyper://{KEY[:-1]}", "cut off"),
        (f"hyper://{KEY}?noise={NOISE[:40]}", "cut off"),
        (f"hyper://{KEY}/atek.cloud", "inside a database"),
        (f"hyper://{KEY}?noise={NOISE}&at=pi", "host:port"),
        (f"hyper://{KEY}?at=pi:0", "host:port"),
        (f"hyper://{KEY}?at=pi:70000", "host:port"),
        (f"hyper://{KEY}?token=x", "'token'"),
        (f"hyper://{KEY}?at=a%0Ab:1", "host:port"),
        ("hyper://[", "no link"),
    ],
)
def test_what_is_wrong_is_told(text: str, why: str) -> None:
    with pytest.raises(BadLink, match=why):
        parse_link(text)


def test_an_address_of_either_kind() -> None:
    assert split_address("10.0.0.7:49800") == ("10.0.0.7", 49800)
    assert split_address("[fd00::1]:1") == ("fd00::1", 1)
