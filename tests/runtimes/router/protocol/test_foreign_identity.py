"""By other schemes' fields nobody is anybody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runtimes.router.protocol.raw_heads import answer, names, parse

LIES = [
    "Proxy", "Remote-User", "Remote-Email", "Remote-Groups", "Remote-Name", "X-Remote-User", "X-Remote-Group",
    "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token", "X-Forwarded-Client-Cert", "X-Auth-Request-User",
    "X-Auth-Request-Access-Token",
    "Tailscale-User-Login", "Tailscale-User-Name", "Cf-Access-Authenticated-User-Email",
    "Cf-Access-Jwt-Assertion", "X-WebAuth-User", "X-WEBAUTH-ROLE", "X-authentik-username", "X-Vouch-User",
    "X-Pomerium-Jwt-Assertion", "X-Goog-Authenticated-User-Email", "X-Goog-IAP-JWT-Assertion",
    "X-Amzn-Oidc-Identity", "X-MS-Client-Principal", "X-MS-CLIENT-PRINCIPAL-NAME", "X-Sandstorm-User-Id",
    "X-Consumer-Username", "Client-Cert", "SSL-Client-Subject-DN", "X-SSL-Client-CN", "SM_USER",
    "OIDC_CLAIM_sub",
    "Auth-User", "YNH_USER", "X-" + "Authentik-" + "a" * 80,
]  # fmt: skip
#: Programs' own, and what proxies say of the way.
PASSED = [
    "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Ssl", "X-Original-URL", "X-Auth-Token",
    "X-Api-Key",
    "X-Access-Token", "X-User-Agent", "X-CSRF-Token", "Proxy-Features", "Remote-Port", "X-Requested-With",
]  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_who_a_client_says_that_it_is_ends_here(name: str) -> None:
    for spelling in (name, name.lower(), name.upper(), name.replace("-", "_"), name.replace("-", ".")):
        head = parse(spelling.encode() + b": admin", b"Cookie: a=b")
        assert names(head) == {b"host", b"cookie"}
        assert b"admin" not in head.passed_without_cookie


@pytest.mark.parametrize("name", PASSED)
def test_what_tells_of_nobody_goes_on(name: str) -> None:
    assert names(parse(name.encode() + b": 1")) == {b"host", name.lower().encode()}


def test_what_a_service_says_to_a_proxy_that_asks_it_goes_on() -> None:
    """A login server tells the proxy that asks it who somebody is, in an answer."""
    assert b"Remote-User: ann\r\n" in answer(b"Remote-User: ann").passed


@given(
    st.sampled_from(LIES).flatmap(
        lambda name: st.tuples(*(st.sampled_from([c.lower(), c.upper()]) for c in name)).map("".join)
    ),
    st.sampled_from("-_.!~"),
)
def test_in_no_spelling_that_servers_take_for_the_same(name: str, sign: str) -> None:
    assert names(parse(name.replace("-", sign).encode() + b": admin")) == {b"host"}
