"""Logs are bounded under a writer that notices nothing, and read from the end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes.processes import logs
from runtimes.processes.log_lines import LONGEST_LINE
from runtimes.processes.logs import Sizes, follow, tail, trim, trim_all

if TYPE_CHECKING:
    from pathlib import Path

LINE = b"0123456789" * 8


def numbered(count: int) -> bytes:
    return b"".join(b"%08d %s\n" % (number, LINE) for number in range(count))


@pytest.mark.parametrize("holes", [True, False])
def test_trimming_frees_the_beginning_and_loses_no_later_line(
    tmp_path: Path, holes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not holes:
        monkeypatch.setattr(logs, "punch", lambda descriptor, length, begin=0: False)
    log = tmp_path / "service.log"
    with open(log, "ab", buffering=0) as writer:
        writer.write(numbered(20_000))
        trim(log, keep=100_000)
        writer.write(b"after\n")
    assert log.stat().st_blocks * 512 <= 100_000 + 2 * 4096
    last = tail(log, 500)
    assert last[-1] == "after"
    assert [int(line.split()[0]) for line in last[:-1]] == list(range(20_000 - 499, 20_000))


def test_only_long_logs_are_trimmed(tmp_path: Path) -> None:
    for name, size in (("short", 10), ("long", 3 * 2**20)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "service.log").write_bytes(b"x" * size)
    (tmp_path / "access.log").write_bytes(b"x" * 3 * 2**20)
    sizes = Sizes(tmp_path, keep=20_000)
    found = sizes.too_long()
    assert sorted(log.parent.name for log in found) == sorted(["long", tmp_path.name])
    trim_all([tmp_path / "missing.log", *found], keep=20_000)
    assert (tmp_path / "short/service.log").read_bytes() == b"x" * 10
    assert (tmp_path / "long/service.log").stat().st_blocks * 512 < 50_000
    assert sizes.too_long() == []


def test_a_log_that_begins_later_is_found_and_one_that_goes_is_no_error(tmp_path: Path) -> None:
    sizes = Sizes(tmp_path, keep=0)
    assert sizes.too_long() == []
    (tmp_path / "app").mkdir()
    log = tmp_path / "app" / "service.log"
    log.write_bytes(b"x" * 2 * 2**20)
    found = [sizes.too_long() for _ in range(logs._LOOKS_FOR_NEW)]
    assert found[-1] == [log]
    log.unlink()
    assert sizes.too_long() == []


def test_a_size_that_no_file_system_likes_begins_anew(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.touch()
    os.truncate(log, logs._LARGEST + 1)
    with open(log, "ab", buffering=0) as writer:
        writer.write(b"before\n")
        trim(log, keep=4096)
        writer.write(b"after\n")
    assert log.stat().st_size < 8192
    assert tail(log, 2) == ["before", "after"]


@pytest.mark.parametrize("ended", [True, False])
def test_a_line_without_an_end_is_cut_and_the_cut_is_told(tmp_path: Path, ended: bool) -> None:
    log = tmp_path / "service.log"
    with open(log, "wb") as file:
        file.write(b"before\n")
        file.writelines(b"x" * 2**20 for _ in range(120))
        file.write(b"\nafter\n" if ended else b"")
    found = tail(log, 3)
    (line,) = (line for line in found if "x" in line)
    before, text, after = line.split("…")
    assert text == "x" * LONGEST_LINE
    assert before == "(the beginning of this line is left out) "
    assert after.endswith("are left out)")
    assert found[-1] == ("after" if ended else line)


def test_reading_the_end_takes_no_more_the_longer_a_line_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "service.log"
    log.write_bytes(b"x" * 30 * 2**20)
    read = 0
    pread = os.pread

    def counted(descriptor: int, length: int, offset: int) -> bytes:
        nonlocal read
        data = pread(descriptor, length, offset)
        read += len(data)
        return data

    monkeypatch.setattr(os, "pread", counted)
    tail(log, 10)
    assert read <= 2 * 30 * 2**20


@pytest.mark.anyio
async def test_follow_cuts_a_line_that_never_ends(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_bytes(b"x" * 3 * LONGEST_LINE + b"\nshort\n")
    lines = follow(log, 2)
    first, second = await anext(lines), await anext(lines)
    assert second == "short" and first.endswith(f"({2 * LONGEST_LINE} more bytes of this line are left out)")
    await lines.aclose()


@pytest.mark.parametrize(
    ("text", "lines", "expected"),
    [
        (b"", 3, []),
        (b"a\nb\nc\n", 2, ["b", "c"]),
        (b"a\nb\nunfinished", 2, ["a", "b", "unfinished"]),
        (b"a\n", 10, ["a"]),
        (b"\xff\n", 1, ["\ufffd"]),
    ],
)
def test_tail(tmp_path: Path, text: bytes, lines: int, expected: list[str]) -> None:
    log = tmp_path / "service.log"
    log.write_bytes(text)
    assert tail(log, lines) == expected


@pytest.mark.anyio
async def test_follow_begins_before_the_file_and_survives_its_truncation(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    seen: list[str] = []

    async def read() -> None:
        async for line in follow(log):
            seen.append(line)

    async def until(expected: list[str]) -> None:
        with anyio.fail_after(10):
            while seen != expected:
                await anyio.sleep(0.01)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.sleep(0.05)
        log.write_bytes(b"one\ntw")
        await until(["one"])
        with open(log, "ab") as file:
            file.write(b"o\n")
        await until(["one", "two"])
        os.truncate(log, 0)
        await anyio.sleep(0.3)
        with open(log, "ab") as file:
            file.write(b"three\n")
        await until(["one", "two", "three"])
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_follow_begins_with_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_bytes(b"a\nb\nc\n")
    lines = follow(log, 2)
    assert [await anext(lines), await anext(lines)] == ["b", "c"]
    await lines.aclose()
