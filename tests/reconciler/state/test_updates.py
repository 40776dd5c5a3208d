"""What is kept of updates from one life of the node to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.decide.updating import Bad, Choice, Kept, Trial
from reconciler.state.updates import UpdatesFile

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = Choice("a" * 40, "v1.0.0"), Choice("b" * 40)
KEPT = Kept("url", 1.5, Trial(OLD, NEW, 2.5), (Bad(NEW, "why", "1.0.0", ran=False),), NEW, "data")


def test_all_of_it_is_read_back(tmp_path: Path) -> None:
    UpdatesFile(tmp_path / "updates.json").put("notes", KEPT)
    UpdatesFile(tmp_path / "updates.json").put("other", Kept())
    assert UpdatesFile(tmp_path / "updates.json").all() == {"notes": KEPT, "other": Kept()}
    UpdatesFile(tmp_path / "updates.json").put("notes", None)
    assert UpdatesFile(tmp_path / "updates.json").all() == {"other": Kept()}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"services": 1}', '{"services": {"a": {}}}', "null"])
def test_a_copy_that_cannot_be_read_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "updates.json").write_text(text)
    file = UpdatesFile(tmp_path / "updates.json")
    assert file.all() == {}
    file.put("notes", KEPT)
    assert UpdatesFile(tmp_path / "updates.json").get("notes") == KEPT


def test_what_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    file = UpdatesFile(tmp_path / "nowhere" / "updates.json")
    with pytest.raises(OSError, match="nowhere"):
        file.put("notes", KEPT)
    assert file.get("notes") is None


def test_what_may_be_lost_goes_along_with_what_may_not(tmp_path: Path) -> None:
    file = UpdatesFile(tmp_path / "updates.json")
    file.put_later("notes", KEPT)
    assert file.get("notes") == KEPT
    assert UpdatesFile(tmp_path / "updates.json").all() == {}
    file.put("other", Kept())
    assert UpdatesFile(tmp_path / "updates.json").all() == {"notes": KEPT, "other": Kept()}
    file.put_later("third", Kept())
    file.save()
    assert UpdatesFile(tmp_path / "updates.json").get("third") == Kept()
