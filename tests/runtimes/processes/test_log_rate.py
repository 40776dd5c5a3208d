"""Output that comes too fast is left out, told, and never waited for."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.processes import log_rate
from runtimes.processes.log_rate import BURST, Dropped, Rates, _Bucket, _taken, drop, keep_bounded
from runtimes.processes.logs import follow, tail

if TYPE_CHECKING:
    from pathlib import Path


def numbered(first: int, last: int) -> bytes:
    return b"".join(b"%08d %s\n" % (number, b"x" * 90) for number in range(first, last))


def make_log(folder: Path, service_id: str = "app") -> Path:
    (folder / service_id).mkdir()
    log = folder / service_id / "service.log"
    log.touch()
    return log


@pytest.mark.parametrize("holes", [True, False])
def test_what_is_too_much_is_one_line_and_offsets_stay(
    tmp_path: Path, holes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not holes:
        monkeypatch.setattr(log_rate, "punch", lambda descriptor, length, begin: False)
    log = make_log(tmp_path)
    with open(log, "ab", buffering=0) as writer:
        writer.write(numbered(0, 20_000))
        size = log.stat().st_size
        dropped = drop(log, 10_050, size, 1000)
        writer.write(b"after\n")
    assert dropped is not None and dropped.lines == 20_000 - 101
    assert log.stat().st_blocks * 512 < 40_000
    if holes:
        assert log.stat().st_size == size + 6
    lines = tail(log, 1000)
    assert [int(line.split()[0]) for line in lines[:101]] == list(range(101))
    assert lines[101] == "(1.9 MiB in 19899 lines left out: it prints more than 1000 B a second)"
    assert lines[102:] == ["after"]


@given(
    writes=st.lists(st.tuples(st.floats(0.01, 30), st.integers(0, 10**8)), max_size=30),
    rate=st.integers(10**3, 10**7),
)
def test_in_any_time_no_more_is_kept_than_the_rate_and_the_burst(
    writes: list[tuple[float, int]], rate: int
) -> None:
    bucket, now, size = _Bucket(0, rate * BURST, 0.0), 0.0, 0
    kept = []
    for pause, written in writes:
        now, before, size = now + pause, size, size + written
        begin = _taken(bucket, size, rate, now)
        assert begin is None or before <= begin <= size
        kept.append((now, (size if begin is None else begin) - before))
    for number, (start, _) in enumerate(kept):
        total = sum(each for _, each in kept[number:])
        assert total <= rate * (BURST + now - start) + 4096 * len(kept) + 1


def test_each_log_has_the_rate_of_its_service_and_what_was_there_counts_for_nothing(tmp_path: Path) -> None:
    logs = {name: make_log(tmp_path, name) for name in ("slow", "free", "idle")}
    for log in logs.values():
        log.write_bytes(b"x" * 50_000)
    rates = Rates({"slow": 1000, "idle": 1000}.get)
    names = [os.fspath(log) for log in logs.values()]
    assert rates.too_fast(names, 0.0) == []
    for name in ("slow", "free"):
        with open(logs[name], "ab") as file:
            file.write(b"y" * 50_000)
    assert rates.too_fast(names, 1.0) == [(logs["slow"], 60_000, 100_000, 1000)]
    assert rates.too_fast(names, 1.1) == []


def test_a_new_log_is_all_new_and_one_that_goes_no_error(tmp_path: Path) -> None:
    rates = Rates(lambda _: 1000)
    first = os.fspath(make_log(tmp_path, "a"))
    rates.too_fast([first], 0.0)
    log = make_log(tmp_path, "b")
    log.write_bytes(b"x" * 50_000)
    assert rates.too_fast([first, os.fspath(log)], 1.0) == [(log, 10_000, 50_000, 1000)]
    log.unlink()
    assert rates.too_fast([first, os.fspath(log)], 2.0) == []
    assert drop(log, 0, 50_000, 1000) is None


@pytest.mark.anyio
async def test_a_flood_neither_fills_the_disk_nor_waits_for_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_rate, "CHECK", 0.02)
    monkeypatch.setattr(log_rate, "CHECK_SOON", 0.01)
    log = make_log(tmp_path)
    told: list[Dropped] = []
    flood = "import os\nfor _ in range(400): os.write(1, b'y' * 99_999 + b'\\n')"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep_bounded, tmp_path, lambda _: 100_000, lambda _, dropped: told.append(dropped))
        await anyio.sleep(0.1)
        with open(log, "ab") as file:
            done = await anyio.run_process(
                [sys.executable, "-c", flood], stdout=file, stdin=subprocess.DEVNULL
            )
        assert done.returncode == 0
        with anyio.fail_after(10):
            while sum(each.size for each in told) < 30 * 2**20 or log.stat().st_blocks * 512 >= 5_000_000:
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    with open(log, "ab") as file:
        file.write(b"the end\n")
    assert log.stat().st_size > 39_000_000
    assert log.stat().st_blocks * 512 < 5_000_000
    lines = [line async for line in _until(log, "the end")]
    assert any("left out: it prints more than 97.7 KiB a second" in line for line in lines)


async def _until(log: Path, last: str):  # type: ignore[no-untyped-def]
    lines = follow(log, 100)
    with anyio.fail_after(10):
        async for line in lines:
            yield line
            if line == last:
                break
    await lines.aclose()
