"""A browser's way from the node's own host to a service's: tokens for one time, redirects that stay here."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.router.carry.bindings import GOOD_FOR, Binding, Bindings
from runtimes.router.decide.binding import (
    asked_for,
    back_location,
    bind_location,
    login_location,
    without_binding,
)
from runtimes.router.decide.place import api_of
from runtimes.router.protocol.query import values_of
from tests.runtimes.router.heads import request

#: What can stand in a request line.
targets = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"))
BINDING = Binding("session", "notes", "state")
queries = st.binary().map(lambda raw: bytes(byte for byte in raw if 0x21 <= byte <= 0x7E and byte != 0x23))


# -- tokens


def test_a_token_is_good_once() -> None:
    bindings = Bindings()
    token = bindings.make(BINDING, 0.0)
    assert bindings.take(token, "notes", 1.0) == BINDING
    assert bindings.take(token, "notes", 1.0) is None


def test_a_token_is_for_one_service_and_lost_when_another_tries_it() -> None:
    bindings = Bindings()
    token = bindings.make(BINDING, 0.0)
    assert bindings.take(token, "evil", 1.0) is None
    assert bindings.take(token, "notes", 1.0) is None


@pytest.mark.parametrize(("after", "session"), [(GOOD_FOR - 0.1, BINDING), (GOOD_FOR, None), (1e9, None)])
def test_a_token_is_good_for_a_while(after: float, session: Binding | None) -> None:
    bindings = Bindings()
    assert bindings.take(bindings.make(BINDING, 0.0), "notes", after) == session


@pytest.mark.parametrize("token", ["", "x", "ÿ"])
def test_no_other_token_is_good(token: str) -> None:
    bindings = Bindings()
    bindings.make(BINDING, 0.0)
    assert bindings.take(token, "notes", 0.0) is None


def test_tokens_that_nobody_takes_are_bounded_and_the_oldest_go_first() -> None:
    bindings = Bindings()
    tokens = [bindings.make(Binding(f"s{number}", "notes", ""), 0.0) for number in range(10_005)]
    assert len(bindings) == 10_000
    assert bindings.take(tokens[4], "notes", 0.0) is None
    assert bindings.take(tokens[5], "notes", 0.0) == Binding("s5", "notes", "")
    assert bindings.take(tokens[-1], "notes", 0.0) == Binding("s10004", "notes", "")


def test_tokens_that_are_too_old_make_room() -> None:
    bindings = Bindings()
    for _ in range(10):
        bindings.make(BINDING, 0.0)
    bindings.make(BINDING, GOOD_FOR)
    assert len(bindings) == 1


# -- redirects


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("service=notes", b"/"),
        ("service=notes&path=/a", b"/a"),
        ("service=notes&path=%2Fa%3Fb%3D1%26c", b"/a?b=1&c"),
        ("service=notes&path=", b"/"),
        ("service=notes&path=a", b"/"),
        ("service=notes&path=//evil.example", b"/"),
        ("service=notes&path=/%5Cevil.example", b"/"),
        ("service=notes&path=%5C%5Cevil.example", b"/"),
        ("service=notes&path=http://evil.example/", b"/"),
        ("service=notes&path=/a%0D%0ASet-Cookie:%20session=x", b"/"),
        ("service=notes&path=/a%00", b"/"),
        ("service=notes&path=/a%7F", b"/"),
        ("service=notes&path=/a+b", b"/"),
        ("service=notes&path=/%09/evil.example", b"/"),
        ("service=notes&path=/a%23b", b"/"),
        ("service=notes&path=/%C3%A9", b"/"),
        ("service=notes&path=/%FF", b"/"),
    ],
)
def test_where_bind_session_leads(query: str, path: bytes) -> None:
    assert asked_for(request(f"/_atek/bind-session?{query}")) == ("notes", path)


@given(targets.map("/".__add__), st.sampled_from([b"http", b"https"]))
def test_a_browser_comes_back_to_where_it_was(target: str, scheme: bytes) -> None:
    there = request(target, host="notes.localhost:2835")
    location = urlsplit(bind_location(there, scheme, "notes", "0" * 32))
    assert (location.scheme, location.netloc) == (scheme, b"localhost:2835")
    binding = request(f"{location.path.decode()}?{location.query.decode()}")
    service, path = asked_for(binding)
    back = urlsplit(back_location(binding, scheme, service, "home.example", path, "TOKEN"))
    assert (back.scheme, back.netloc) == (scheme, b"notes.localhost:2835")
    arrived = request(f"{back.path.decode()}?{back.query.decode()}", host=back.netloc.decode())
    found = without_binding(arrived)
    assert found is not None
    # A target whose beginning means another host leads to the front page, and an old token is not kept.
    ours = {target, target.removesuffix("?"), "/"}
    assert found[1].decode() in ours or "bst=" in target


@given(targets.map("/".__add__))
def test_no_redirect_leaves_the_host_or_breaks_the_head(target: str) -> None:
    found = without_binding(request(f"{target}{'&' if '?' in target else '?'}bst=x"))
    assert found is not None
    _, location = found
    assert location.startswith(b"/") and location[1:2] not in (b"/", b"\\")
    assert all(0x21 <= byte <= 0x7E for byte in location)


def test_every_token_leaves_the_target_and_the_first_counts() -> None:
    head = request("/a?x=1&bst=one&y&bst=two", host="notes.localhost")
    assert without_binding(head) == ("one", b"/a?x=1&y")
    assert without_binding(request("/a?bst=one")) == ("one", b"/a")
    assert without_binding(request("/a?xbst=one&bstx=two")) is None


@pytest.mark.parametrize(
    ("host", "back"),
    [
        ("localhost", b"http://notes.localhost/?bst=T"),
        ("localhost:2835", b"http://notes.localhost:2835/?bst=T"),
        ("home.example:80", b"http://notes.home.example:80/?bst=T"),
        ("LOCALHOST:2835", b"http://notes.LOCALHOST:2835/?bst=T"),
        ("127.0.0.1:2835", b"http://notes.home.example:2835/?bst=T"),
        ("[::1]:2835", b"http://notes.home.example:2835/?bst=T"),
        ("[::1]", b"http://notes.home.example/?bst=T"),
    ],
)
def test_the_port_is_kept(host: str, back: bytes) -> None:
    assert back_location(request(host=host), b"http", "notes", "home.example", b"/", "T") == back


def test_the_login_page_comes_back_to_the_same_place() -> None:
    head = request("/_atek/bind-session?service=notes&path=%2Fa")
    assert login_location(head) == b"/_atek/login?service=notes&path=%2Fa"
    assert login_location(request("/_atek/bind-session")) == b"/_atek/login"


# -- queries


@pytest.mark.parametrize(
    ("query", "api"),
    [
        (b"api=example.com/notes", "example.com/notes"),
        (b"api=example.com%2Fnotes&x=1", "example.com/notes"),
        (b"%61pi=a", "a"),
        (b"api=caf%C3%A9", "café"),
        (b"api=%FF", "�"),
        (b"api=a&api=b", ""),
        (b"api=a&api=", ""),
        (b"api=", ""),
        (b"api", ""),
        (b"", ""),
        (b"&&=&", ""),
        (b"API=a", ""),
        (b"api=a;api=b", "a;api=b"),
        (b"api=%", "%"),
        (b"api=%zz", "%zz"),
    ],
)
def test_the_api_of_a_query(query: bytes, api: str) -> None:
    assert api_of(query) == api


@given(queries)
def test_queries_are_read_as_the_standard_library_reads_them(query: bytes) -> None:
    found = parse_qs(query.decode(), keep_blank_values=True)
    for name in {*found, "api"} - {""}:
        assert values_of(query, name) == found.get(name, [])
