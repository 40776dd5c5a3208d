"""What people call a device, from what its browser says about itself. Pure.

Nothing depends on it but what a person reads in a list of sessions: a User-Agent is whatever a client likes.
"""

from __future__ import annotations

import re

LONGEST = 60
# The first that is found: others' names stand in many, for the sake of servers that look for them.
_PROGRAMS = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("Vivaldi", "Vivaldi"), ("SamsungBrowser", "Samsung Internet"),
    ("FxiOS", "Firefox"), ("Firefox/", "Firefox"), ("CriOS", "Chrome"), ("Chromium", "Chromium"),
    ("Chrome/", "Chrome"), ("Safari/", "Safari"), ("curl/", "curl"), ("Wget", "Wget"), ("node", "Node"),
    ("Python", "Python"),
)  # fmt: skip
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("CrOS", "ChromeOS"),
    ("Windows", "Windows"), ("Mac OS", "Mac"), ("Macintosh", "Mac"), ("Linux", "Linux"),
)  # fmt: skip
_FIRST_WORD = re.compile(r"[A-Za-z0-9 ._-]+")


def device_name(user_agent: str) -> str:
    """`Firefox on Linux`; the first word of what nobody knows, and `an unknown device` without any."""
    program = next((name for mark, name in _PROGRAMS if mark.lower() in user_agent.lower()), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    if program and system:
        return f"{program} on {system}"
    if program or system:
        return program or system
    word = _FIRST_WORD.match(user_agent.partition("/")[0].strip())
    return word[0].strip()[:LONGEST] if word and word[0].strip() else "an unknown device"
