"""A cookie is for the host that set it, however a service writes that it is for more."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runtimes.router.protocol.cookies import for_one_host


@pytest.mark.parametrize(
    ("cookie", "passed"),
    [
        (b"a=b", b"a=b"),
        (b"a=b; Path=/; HttpOnly; SameSite=Lax", b"a=b; Path=/; HttpOnly; SameSite=Lax"),
        (b"a=b; Domain=home.example", b"a=b"),
        (b"a=b; Domain=.home.example; Path=/", b"a=b; Path=/"),
        (b"a=b; Path=/; Domain=home.example; Secure", b"a=b; Path=/; Secure"),
        (b"a=b;domain=home.example;path=/", b"a=b;path=/"),
        (b"a=b; DOMAIN=home.example", b"a=b"),
        (b"a=b; dOmAiN \t=\t home.example", b"a=b"),
        (b"a=b;\tDomain=home.example", b"a=b"),
        (b"a=b; Domain", b"a=b"),
        (b"a=b; Domain=", b"a=b"),
        (b"a=b; Domain=x; Domain=home.example; domain=y", b"a=b"),
        (b"a=b; Domain==home.example", b"a=b"),
        (b'a="b; Domain=home.example"; Path=/', b'a="b; Path=/'),
        (b'a=b; Domain="home.example"', b"a=b"),
        (b"a=b; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Domain=x, c=d; Domain=home.example",
         b"a=b; Expires=Wed, 21 Oct 2026 07:28:00 GMT"),
        (b"Domain=home.example", b"Domain=home.example"),
        (b"a=Domain=home.example", b"a=Domain=home.example"),
        (b"a=b; X-Domain=home.example; Domains=1", b"a=b; X-Domain=home.example; Domains=1"),
        (b"", b""),
        (b";Domain=home.example", b""),
        (b"__Secure-a=b; Secure; Domain=home.example", b"__Secure-a=b; Secure"),
        (b"__Host-a=b; Secure; Path=/", b"__Host-a=b; Secure; Path=/"),
        (b"__Host-a=b; Secure; Path=/; Domain=home.example", None),
        (b"__hOST-a=b; Secure; Path=/; Domain=home.example", None),
        (b" __Host-a=b; Secure; Path=/; Domain=home.example", None),
        (b"__Host-a=b; Secure; Path=/; Domain=", b"__Host-a=b; Secure; Path=/"),
    ],
)  # fmt: skip
def test_domain_is_cut(cookie: bytes, passed: bytes | None) -> None:
    assert for_one_host(cookie) == passed


def as_browsers_read(cookie: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """RFC 6265, section 5.2, in its own order of steps: what is set, and with which attributes."""
    pair, semicolon, unparsed = cookie.partition(b";")
    attributes = []
    while semicolon:
        text, semicolon, unparsed = unparsed.partition(b";")
        name, _, value = text.partition(b"=")
        attributes.append((name.strip(b" \t").lower(), value.strip(b" \t")))
    return pair, attributes


pieces = st.lists(
    st.sampled_from(
        [b"Domain", b"domain", b"DOMAIN", b"=", b";", b" ", b"\t", b"home.example", b".", b'"', b",",
         b"__Host-", b"a", b"Path=/", b"Secure", b"\\", b"%3B", b"\x0b", b"\xa0", b"\x7f", b"Expires=x, y"]
    ),
    max_size=16,
).map(b"".join)  # fmt: skip


@settings(max_examples=1000)
@given(st.one_of(pieces, st.binary(max_size=60)))
@example(b"a=b;Domain=c;Domain")
def test_nothing_is_left_that_a_browser_reads_as_a_domain_and_all_else_is(cookie: bytes) -> None:
    passed = for_one_host(cookie)
    pair, attributes = as_browsers_read(cookie)
    if passed is None:
        assert pair.strip().lower().startswith(b"__host-")
        assert any(name.strip() == b"domain" for name, _ in attributes)
        return
    its_pair, its_attributes = as_browsers_read(passed)
    assert its_pair == pair
    assert not any(name == b"domain" for name, _ in its_attributes)
    # White space that only some take for it counts as well.
    white = bytes(range(0x21)) + b"\x7f"
    assert its_attributes == [each for each in attributes if each[0].strip(white) != b"domain"]
    assert for_one_host(passed) == passed
