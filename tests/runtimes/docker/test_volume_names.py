"""The notes of what the engine calls volumes: they hold, move with an id, and never mean two services'."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.model.containers import parse_volume
from runtimes.base import RuntimeFailure
from runtimes.docker.spec import volume_name
from runtimes.docker.volume_names import VolumeNames, has_volumes, image_volume_name, key_of, move_note

if TYPE_CHECKING:
    from pathlib import Path

NODE = "f" * 32


def test_what_is_noted_holds(tmp_path: Path) -> None:
    names = VolumeNames(tmp_path)
    assert not has_volumes(tmp_path, "app")
    assert names.choose("app", {"0:/keep": "a"}) == {"0:/keep": "a"}
    assert has_volumes(tmp_path, "app")
    assert names.choose("app", {"0:/keep": "another", "cache": "c"}) == {"0:/keep": "a", "cache": "c"}
    names.note("app", {"0:/keep": "third", "1:/keep": "nameless"})
    assert VolumeNames(tmp_path).of("app") == {"0:/keep": "a", "1:/keep": "nameless", "cache": "c"}


def test_who_gets_an_id_that_another_had_gets_none_of_its_volumes(tmp_path: Path) -> None:
    names = VolumeNames(tmp_path)
    names.choose("old", {"0:/keep": "a"})
    move_note(tmp_path, "old", "new")
    assert (names.of("old"), names.of("new")) == ({}, {"0:/keep": "a"})
    assert names.choose("old", {"0:/keep": "a"}) == {"0:/keep": "a.2"}
    move_note(tmp_path, "old", "newer")
    assert names.choose("old", {"0:/keep": "a"}) == {"0:/keep": "a.3"}
    # Nobody's note is written over.
    move_note(tmp_path, "old", "new")
    assert names.of("new") == {"0:/keep": "a"} and names.of("old") == {"0:/keep": "a.3"}


def test_a_note_that_cannot_be_read_is_no_reason_to_begin_anew(tmp_path: Path) -> None:
    names = VolumeNames(tmp_path)
    names.choose("app", {"0:/keep": "a"})
    for text in ("{", "[]", '{"volumes": 1}', '{"volumes": {"a": 1}}'):
        (tmp_path / "state" / "volumes" / "app.json").write_text(text)
        with pytest.raises(RuntimeFailure, match="nobody knows which volumes") as caught:
            names.choose("app", {"0:/keep": "a"})
        assert caught.value.reason == "VolumesUnknown" and caught.value.hint
        assert names.choose("other", {"0:/keep": "b"}) == {"0:/keep": "b"}


def test_volumes_are_nobodys_only_where_data_folders_can_be_seen(tmp_path: Path) -> None:
    names = VolumeNames(tmp_path)
    (tmp_path / "data" / "app").mkdir(parents=True)
    names.choose("app", {"0:/keep": "a"})
    assert not names.is_orphan("app")
    (tmp_path / "data" / "app").rmdir()
    assert names.is_orphan("app")
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    (tmp_path / "data").mkdir()
    assert not names.is_orphan("app")


IDS = st.from_regex(r"[a-z][a-z0-9-]{0,6}(\.[a-z0-9-]{1,4})?", fullmatch=True)
PLACES = st.tuples(IDS, st.integers(0, 12), st.sampled_from(["/a", "/b", "/a/b"]))


@given(PLACES, PLACES)
def test_no_two_places_have_one_name(one: tuple[str, int, str], other: tuple[str, int, str]) -> None:
    names = {image_volume_name(NODE, *one), image_volume_name(NODE, *other)}
    assert len(names) == len({one, other})
    assert volume_name(NODE, one[0], parse_volume("cache:/c")) not in names
    assert key_of(one[1], one[2]).partition(":")[2] == one[2]
