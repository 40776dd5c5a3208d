"""Conditions are told to terminals, logs, other nodes: whatever they are about, they can be written down."""

from __future__ import annotations

import orjson

from reconciler.decide.conditions import Condition


def test_a_message_can_be_written_down_whatever_it_is_about() -> None:
    found = Condition("Ready", "False", "SourceNotFound", "there is no /srv/caf\udce9\x1b[2J\nmend it")
    assert (
        found.message == "there is no /srv/caf\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}[2J\nmend it"
    )
    assert orjson.dumps(found.message)
    assert Condition("Ready", "True", "Ready", "é\U0001f600").message == "é\U0001f600"
