"""What people read as the name of a device."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.people.devices import LONGEST, device_name


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/18.0 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile "
            "Safari/537.36",
            "Chrome on Android",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0",
            "Edge on Windows",
        ),
        ("curl/8.5.0", "curl"),
        ("node-fetch/1.0 (+https://github.com/bitinn/node-fetch)", "Node"),
        ("Lonestar/2", "Lonestar"),
        ("", "an unknown device"),
        ("\x1b[2J", "an unknown device"),
    ],
)
def test_devices(user_agent: str, name: str) -> None:
    assert device_name(user_agent) == name


@given(st.text())
def test_whatever_it_says_it_is_short_and_harmless(user_agent: str) -> None:
    assert len(device_name(user_agent)) <= LONGEST
    assert device_name(user_agent).isprintable()
