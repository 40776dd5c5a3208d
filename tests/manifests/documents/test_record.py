"""A service as a record, and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyper.port import Drive, Record
from manifests.documents.record import drive_url, make_record, parse_drive, read_record, record_path
from manifests.model.manifest import Manifest

KEY = "a" * 64
DRIVE = Drive("0123456789abcdef" * 4, 7)


def read(value: Any, path: tuple[str, ...] = record_path(KEY)) -> Manifest:
    recorded, problem = read_record(Record(path, 3, value), "laptop")
    assert recorded is not None and problem is None, problem
    return recorded.manifest


def refused(value: Any, path: tuple[str, ...] = record_path(KEY)) -> str:
    recorded, problem = read_record(Record(path, 3, value), "laptop")
    assert recorded is None and problem is not None
    assert problem.reason == "BrokenRecord" and problem.file.startswith("laptop:")
    return str(problem)


def made(spec: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return make_record(spec, owner="alice", updated_at="2024-01-01T00:00:00Z", updated_by="pi", **rest)


def test_a_record_says_the_same_to_us_and_to_others() -> None:
    spec = {"id": "notes", "source": drive_url(DRIVE), "env": {"A": "1"}, "probes": {"readiness": "none"}}
    value = made(spec, atek_json={"title": "Notes"})
    assert value["sourceUrl"] == f"hyper://{DRIVE.key}?version=7"
    assert value["package"] == {"sourceType": "hyper", "installedVersion": "7"}
    assert (value["id"], value["owningUserKey"], value["config"]) == ("notes", "alice", {"A": "1"})
    recorded, _ = read_record(Record(record_path(KEY), 3, value), "laptop")
    assert recorded is not None
    assert (recorded.key, recorded.seq, recorded.owner, recorded.drive) == (KEY, 3, "alice", DRIVE)
    assert recorded.manifest == Manifest.model_validate(spec)


def test_a_record_of_other_software_is_translated() -> None:
    manifest = read(
        {
            "id": "notes",
            "owningUserKey": "system",
            "sourceUrl": "file:///srv/notes",
            "desiredVersion": None,
            "package": {"sourceType": "file", "installedVersion": ""},
            "manifest": {"title": "Notes", "exports": [{"api": "example.com/notes"}]},
            "config": {"level": 3, "simulate": True, "unset": None, "atek_host_port": "1"},
        }
    )
    assert (manifest.id, manifest.source) == ("notes", "file:///srv/notes")
    assert manifest.env == {"LEVEL": "3", "SIMULATE": "true"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "laptop:aaa"),
        (None, "it is not the record of a service"),
        ({}, "id: it must be text, not nothing"),
        ({"id": "notes"}, "a service needs a source"),
        ({"id": "notes", "sourceUrl": "https://example.com/notes.git#-x"}, "no branch, tag or commit"),
        ({"id": "notes", "sourceUrl": "hyper://abc?version=1"}, "packages on drives in files"),
        ({"id": "notes", "sourceUrl": "/x", "config": ["a"]}, "env: it must be a table"),
        ({"spec": {"id": "notes", "sorce": "."}}, "laptop:notes: sorce: unknown key (did you mean source?)"),
        ({"spec": {"id": "notes", "\x1b[2J\n": 1}}, "\N{REPLACEMENT CHARACTER}[2J"),
    ],
)
def test_what_is_no_service_is_told_in_words(value: Any, expected: str) -> None:
    told = refused(value)
    assert expected in told and told.isprintable()


def test_a_record_elsewhere_is_no_service() -> None:
    refused(made({"id": "notes", "source": "/x"}), path=("atek.cloud", "service", "a", "b"))


def test_no_depth_is_too_much_for_who_reads_it() -> None:
    value: Any = []
    for _ in range(900):
        value = [value]
    assert "nested too deeply" in refused({"id": "notes", "sourceUrl": "/x", "manifest": value})


@given(st.text(max_size=100))
def test_only_a_version_of_a_drive_is_one(text: str) -> None:
    assert parse_drive(text) is None


@pytest.mark.parametrize("version", ["0", "01", "-1", "1.5", "", "9" * 16, "1&x=2", "1\n"])
def test_versions_are_whole_numbers(version: str) -> None:
    assert parse_drive(f"hyper://{DRIVE.key}?version={version}") is None
    assert parse_drive(f"hyper://{DRIVE.key.upper()}?version=1") is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "source", "env", "spec", "config"]) | st.text(), inner)
    ),
    max_leaves=12,
)


@given(_JSON)
def test_whatever_is_written_is_a_service_or_a_problem(value: Any) -> None:
    recorded, problem = read_record(Record(record_path(KEY), 3, value), "laptop")
    assert (recorded is None) != (problem is None)
    assert problem is None or str(problem).isprintable()
