"""Hooks as GitHub, Forgejo, Gitea and GitLab send and sign them, and everybody else's."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.gitops.hooks import BURST, EVERY, TOLERANCE, Bell, is_signed

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET = b"It's a Secret to Everybody"
BODY = b"Hello, World!"
NOW = 1_800_000_000.0
#: As GitHub's documentation has it for this secret and this body.
GITHUB = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def standard(secret: bytes, *, at: float = NOW, hook_id: str = "msg_1", body: bytes = BODY) -> dict[str, str]:
    signed = f"{hook_id}.{at:.0f}.".encode() + body
    mark = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    return {"webhook-id": hook_id, "webhook-timestamp": f"{at:.0f}", "webhook-signature": f"v1,{mark}"}


@pytest.mark.parametrize(
    "headers",
    [
        {"x-hub-signature-256": f"sha256={GITHUB}"},
        {"x-forgejo-signature": GITHUB, "x-gitea-signature": GITHUB},
        {"x-gitea-signature": GITHUB},
        {"x-gitlab-token": SECRET.decode()},
        standard(SECRET),
        {**standard(SECRET), "webhook-signature": f"v1,AAAA {standard(SECRET)['webhook-signature']}"},
        standard(SECRET, at=NOW - TOLERANCE),
    ],
)
def test_what_is_signed(headers: Mapping[str, str]) -> None:
    assert is_signed(headers, BODY, SECRET, NOW)
    assert not is_signed(headers, BODY, b"another", NOW)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-hub-signature-256": ""},
        {"x-hub-signature-256": f"sha256={GITHUB[:-1]}0"},
        # The old one, by a digest that is broken.
        {"x-hub-signature": "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"},
        {"x-forgejo-signature": "0" * 64, "x-gitea-signature": GITHUB},
        {"x-gitlab-token": ""},
        standard(SECRET, at=NOW - TOLERANCE - 1),
        standard(SECRET, at=NOW + TOLERANCE + 1),
        standard(SECRET, body=b"another"),
        {**standard(SECRET), "webhook-id": "msg_2"},
        {**standard(SECRET), "webhook-timestamp": "soon"},
        {**standard(SECRET), "webhook-timestamp": "9" * 400},
    ],
)
def test_what_is_not(headers: Mapping[str, str]) -> None:
    assert not is_signed(headers, BODY, SECRET, NOW)


def test_a_secret_in_base64() -> None:
    secret = b"whsec_" + base64.b64encode(b"24 bytes of randomness..")
    assert is_signed(standard(b"24 bytes of randomness.."), BODY, secret, NOW)


def test_no_secret_lets_nobody_in() -> None:
    assert not is_signed({"x-gitlab-token": ""}, b"", b"", NOW)


@given(
    st.dictionaries(
        st.sampled_from(["x-hub-signature-256", "x-gitlab-token", "webhook-signature", "webhook-timestamp"]),
        st.text(),
    )
)
def test_whatever_is_sent_is_judged(headers: dict[str, str]) -> None:
    assert not is_signed(headers, BODY, SECRET, NOW)


def sent(delivery: str) -> dict[str, str]:
    return {"x-hub-signature-256": f"sha256={GITHUB}", "x-github-delivery": delivery}


def test_the_same_hook_rings_once() -> None:
    bell = Bell()
    assert bell.hear(sent("a"), BODY, SECRET, NOW) == "Rung"
    assert bell.hear(sent("a"), BODY, SECRET, NOW + 60) == "Repeated"
    assert bell.hear(sent("b"), BODY, SECRET, NOW + 60) == "Rung"
    assert bell.hear({"x-github-delivery": "a"}, BODY, SECRET, NOW) == "Unsigned"


def test_a_flood_rings_now_and_then() -> None:
    bell = Bell()
    heard = [bell.hear(sent(str(number)), BODY, SECRET, NOW) for number in range(50)]
    assert heard.count("Rung") == BURST
    assert heard.count("TooOften") == 50 - BURST
    assert bell.hear(sent("later"), BODY, SECRET, NOW + EVERY) == "Rung"
    # The clock is put back by a day.
    assert bell.hear(sent("before"), BODY, SECRET, NOW - 86400) == "TooOften"
    assert bell.hear(sent("after"), BODY, SECRET, NOW - 86400 + EVERY) == "Rung"


def test_plain_tokens_ring_each_time() -> None:
    bell, headers = Bell(), {"x-gitlab-token": SECRET.decode()}
    assert [bell.hear(headers, BODY, SECRET, NOW) for _ in range(2)] == ["Rung", "Rung"]
