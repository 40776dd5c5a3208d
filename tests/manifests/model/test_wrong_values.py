"""A value that is wrong by itself is told with the value, and with the form of a right one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from manifests.documents.explain import explain
from manifests.model.base import Written
from manifests.model.manifest import Manifest
from manifests.model.policy import Policy

WRONG = "wrong of old!"

#: A place in a manifest, and a value for it that stands there alone.
OF_MANIFESTS = [
    *[
        (key, {key: [WRONG]})
        for key in ("egress", "binds", "allow", "exports", "nodes", "publish", "volumes", "capabilities")
    ],
    *[(key, {key: WRONG}) for key in (
        "id", "sandbox", "crossSite", "runAs", "network", "user", "image", "isolation", "port", "pull",
    )],
    *[(f"resources.{key}", {"resources": {key: WRONG}}) for key in (
        "memory", "cpu", "pids", "openFiles", "disk", "logRate",
    )],
    *[(f"restart.{key}", {"restart": {key: WRONG}}) for key in ("perMinute", "maxDelay")],
    ("stop.signal", {"stop": {"signal": WRONG}}),
    ("probes", {"probes": {"liveness": {"httpGet": WRONG}}}),
]  # fmt: skip
OF_POLICIES = [
    *[(key, {key: [WRONG]}) for key in ("runtimes", "egress", "binds", "ports")],
    *[(key, {key: WRONG}) for key in ("trust", "sandbox", "grants", "memory", "disk", "services")],
    *[(key, {key: [f"{WRONG} "]}) for key in ("ids", "apis", "calls")],
]


def told(model: type[Any], value: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as raised:
        model.model_validate(value)
    [problem] = explain(raised.value, model, value, line_of=lambda _: None)
    return f"{problem.message} {problem.hint}"


@pytest.mark.parametrize(("key", "value"), OF_MANIFESTS)
def test_of_a_manifest(key: str, value: dict[str, Any]) -> None:
    sentence = told(Manifest, {"id": "a", "source": "./a", **value})
    assert WRONG.lower() in sentence.lower(), f"{key}: {sentence}"
    assert "write " in sentence or "must be " in sentence, f"{key}: {sentence}"


@pytest.mark.parametrize(("key", "value"), OF_POLICIES)
def test_of_a_policy(key: str, value: dict[str, Any]) -> None:
    sentence = told(Policy, value)
    assert WRONG in sentence and ("write " in sentence or "must be " in sentence), f"{key}: {sentence}"


def test_a_list_that_is_written_as_text_is_told_as_a_list() -> None:
    egress = told(Manifest, {"id": "a", "source": "./a", "egress": "api.example.com:443"})
    assert "write [api.example.com:443]" in egress
    assert "write [] for none" in told(Manifest, {"id": "a", "source": "./a", "allow": "none"})


def test_a_secret_is_not_repeated() -> None:
    sentence = told(Manifest, {"id": "a", "source": "./a", "env": {"TOKEN": "hush\0"}})
    assert "hush" not in sentence


@given(st.text(max_size=7))
def test_a_form_takes_what_its_pattern_takes_and_tells_the_rest(text: str) -> None:
    form = Written(r"[a-z]{1,5}", "a word", "one like abc")
    if text.isascii() and text.isalpha() and text.islower() and len(text) <= 5:
        assert form.check(text) == text
    else:
        with pytest.raises(ValueError, match="is not a word; write one like abc") as raised:
            form.check(text)
        assert repr(text) in str(raised.value)
