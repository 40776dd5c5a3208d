"""The node's variables in `env`, and all the dollars that are none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyper.port import Record
from manifests.compose import read_compose
from manifests.documents.record import read_record, record_path
from manifests.model.expansion import UnknownVariable, expanded, expanded_where_known, expands
from manifests.model.manifest import Manifest
from manifests.model.service import make_service

KNOWN = {"PATH": "/usr/bin", "HOME": "/d", "PORT": "8080", "ATEK_DATA_DIR": "/d", "ATEK_HOST_PORT": "2835"}


def manifest(env: dict[str, str], **rest: Any) -> Manifest:
    return Manifest.model_validate({"id": "a", "command": ["x"], "env": env, **rest})


@pytest.mark.parametrize(
    ("written", "arrives"),
    [
        ("$PORT", "8080"),
        ("http://localhost:${PORT}/x", "http://localhost:8080/x"),
        ("$ATEK_DATA_DIR/db", "/d/db"),
        ("/x:$PATH", "/x:/usr/bin"),
        ("$2b$12$abcDEF./x", "$2b$12$abcDEF./x"),
        ("pa$$word", "pa$$word"),
        ("$", "$"),
        ("$$", "$$"),
        ("${", "${"),
        ("${PORT", "${PORT"),
        ("${PORT:-1}", "${PORT:-1}"),
        ("$PORTAL", "$PORTAL"),
        ("$NAME ${name} $1 $(x)", "$NAME ${name} $1 $(x)"),
        ("$$PORT $${HOME}", "$PORT ${HOME}"),
        ("$HOME$PORT", "/d8080"),
    ],
)
def test_what_arrives(written: str, arrives: str) -> None:
    assert expanded(manifest({"A": written}), KNOWN) == {"A": arrives}


def test_a_variable_that_is_set_anew_is_that_for_others() -> None:
    env = {"A": "$HOME/x", "HOME": "/elsewhere", "PATH": "$HOME/bin:$PATH"}
    assert expanded(manifest(env), KNOWN) == {
        "A": "/elsewhere/x", "HOME": "/elsewhere", "PATH": "/d/bin:/usr/bin",
    }  # fmt: skip


def test_what_only_the_manifest_sets_is_there_for_the_others() -> None:
    env = {"URL": "http://localhost:$PORT", "PORT": "8080", "LANG": "$LANG"}
    assert expanded(manifest(env), {"LANG": "C"}) == {**env, "URL": "http://localhost:8080", "LANG": "C"}
    with pytest.raises(UnknownVariable, match=r"env.PORT refers to \$PORT"):
        expanded(manifest({"PORT": "1$PORT"}), {})


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(UnknownVariable, match=r"env.A refers to \$ATEK_DATA_DIRR"):
        expanded(manifest({"A": "$ATEK_DATA_DIRR"}), KNOWN)
    with pytest.raises(
        UnknownVariable, match=r"env.A refers to \$ATEK_X, env.A refers to \$PORTS?, env.B .* \$ATEK_Y"
    ):
        expanded(manifest({"A": "$ATEK_X$PORT$$ATEK_Z", "B": "${ATEK_Y}${ATEK_Y}$HOME"}), {"HOME": "/d"})
    env = {"A": "$ATEK_DATA_DIRR", "B": "$PORT", "C": "pa$$"}
    assert expanded_where_known(manifest(env), {"PORT": "1"}) == {"B": "1", "C": "pa$$"}


def test_literal_dollars_are_themselves() -> None:
    env = {"A": "$PORT", "B": "$$PORT", "C": "$ATEK_NONE"}
    assert expanded(manifest(env, literalEnv=True), KNOWN) == env


def test_records_and_compose_files_are_never_expanded() -> None:
    env = {"A": "$PORT", "B": "${ATEK_HOST_BEARER_TOKEN}", "C": "$2b$1"}
    spec = {"id": "a", "command": ["x"], "env": env, "literalEnv": False}
    recorded, _ = read_record(Record(record_path("a"), 1, {"id": "a", "spec": spec}), "pi")
    assert recorded and expanded(recorded.manifest, KNOWN) == env
    other = {"id": "a", "sourceUrl": "file:///x", "config": {"a": "$PORT"}}
    recorded, _ = read_record(Record(record_path("a"), 1, other), "pi")
    assert recorded and expanded(recorded.manifest, KNOWN) == {"A": "$PORT"}
    text = "services: {a: {image: x, environment: {A: $$PORT}, env_file: [x.env]}}"
    (service,), problems = read_compose(text, "/s/compose.yaml", "/s", {"/s/x.env": "B='$HOME'\n"}.get)
    assert not problems and expanded(service, KNOWN) == {"A": "$PORT", "B": "$HOME"}


def test_a_revision_is_another_one_only_where_a_value_is() -> None:
    def revision(value: str, **rest: Any) -> str:
        return make_service(
            manifest({"A": value}, **rest), runtime="process", package=None, source="m"
        ).revision

    for value in ("x", "$2b$10$x", "pa$$word"):
        assert revision(value) == revision(value, literalEnv=True)
    assert revision("$PORT") != revision("$PORT", literalEnv=True)


@given(st.text("$PORT{}a_ ", max_size=20))
def test_without_references_every_value_is_itself(value: str) -> None:
    if not expands({"A": value}):
        assert expanded(manifest({"A": value}), KNOWN) == {"A": value}
