"""The run directory is short enough for sockets, and nobody else's."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from runtimes import paths
from runtimes.base import RuntimeFailure
from runtimes.paths import LONGEST_SOCKET_PATH, Paths, make_run_directory, run_directory


def test_a_short_home_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "LONGEST_SOCKET_PATH", 10_000)
    run = make_run_directory(tmp_path)
    assert run == tmp_path / "run" == run_directory(tmp_path)
    assert stat.S_IMODE(run.stat().st_mode) == 0o700


def test_a_long_home_gets_a_short_one_elsewhere(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)
    home.mkdir()
    run = make_run_directory(home)
    try:
        socket = Paths(home, run, 2835).socket("0123456789")
        assert len(os.fsencode(socket)) <= LONGEST_SOCKET_PATH
        assert run_directory(home) == run == Path(os.readlink(home / "run"))
        assert make_run_directory(home) == run
        assert stat.S_IMODE(run.stat().st_mode) == 0o700
    finally:
        run.rmdir()


def test_somebody_elses_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = tmp_path / "trap"
    trap.symlink_to("/")
    monkeypatch.setattr(paths, "_short_directory", lambda home: trap)
    home = tmp_path / ("long" * 30)
    home.mkdir()
    with pytest.raises(RuntimeFailure) as caught:
        make_run_directory(home)
    assert caught.value.reason == "RunDirectory"
