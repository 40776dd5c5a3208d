"""Logs are bounded under a writer that notices nothing, and read from the end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes import logs
from runtimes.logs import follow, tail, trim, trim_all

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
        monkeypatch.setattr(logs, "_punch", lambda descriptor, length: False)
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
    for name, size in (("short", 10), ("long", 50_000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "service.log").write_bytes(b"x" * size)
    trim_all(tmp_path, keep=20_000)
    assert (tmp_path / "short/service.log").read_bytes() == b"x" * 10
    assert (tmp_path / "long/service.log").stat().st_blocks * 512 < 50_000
    trim(tmp_path / "missing.log")


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
