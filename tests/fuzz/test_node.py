"""No value ends a node: manifests in files and in records, through a real node with a real daemon.

After each lot the node lives, the service that nobody touched serves without a restart, everything that was
written is told of, and nothing was a surprise (InternalError).
"""

from __future__ import annotations

import json
import os
import time
from functools import partial
from itertools import count
from math import isfinite
from random import Random
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from hyper.client import HyperClient
from hyper.port import Write
from manifests.documents.record import record_path
from reconciler.cli.client import Client
from reconciler.errors import UserError
from tests.e2e.members import Member
from tests.fuzz.documents import document, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

pytestmark = pytest.mark.xdist_group("members")

LOT = 25
PATIENCE = 120.0


class Fuzzed:
    """A node, a service that is fine, and whoever writes what is not."""

    def __init__(self) -> None:
        self.node = Member("fuzzed")
        # A soak takes longer than a test's usual thousand seconds.
        self.node.declare("steady", "sleep", "infinity")
        self.node.up()
        self.client = Client(self.node.home)
        self.until(lambda status: self.is_steady(status), "it starts")
        self.pid = self.node.pid("steady")

    def until(self, holds: Callable[[dict[str, Any]], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.node.node is not None and self.node.node.poll() is None, self.node.log()[-5000:]
            try:
                status = self.client.status()
            except UserError:
                # It is not there yet; whether it ends is seen above.
                status = {"services": [], "sources": []}
            if holds(status):
                return
            time.sleep(0.1)
        raise AssertionError(f"{what}: not within {PATIENCE:g} s\n{self.node.log()[-5000:]}")

    def is_steady(self, status: dict[str, Any]) -> bool:
        found = next((each for each in status["services"] if each["id"] == "steady"), None)
        if found is None:
            return False
        ready = {each["type"]: each["status"] for each in found["conditions"]}.get("Ready")
        return ready == "True"

    def check(self, names: Sequence[str], lot: Sequence[Any]) -> None:
        """Each name is a file's, or a record's; it is an id too."""

        missing: set[str] = set()

        def all_told(status: dict[str, Any]) -> bool:
            told = {each["id"] for each in status["services"]}
            for source in status["sources"]:
                told |= {os.path.splitext(os.path.basename(each["file"]))[0] for each in source["problems"]}
                told |= {each["file"].partition(":")[2] for each in source["problems"]}
                told |= {each["loser"].rpartition(":")[2] for each in source["conflicts"]}
            missing.clear()
            missing.update(set(names) - told)
            return not missing

        try:
            self.until(all_told, "everything is told")
            self.until(self.is_steady, "nobody else is concerned")
            assert self.node.pid("steady") == self.pid
            surprises = [each for each in self.client.recent(1000) if each.reason == "InternalError"]
            assert not surprises and "InternalError" not in json.dumps(self.client.status())
            assert self.node.atek("status").returncode == 0
        except AssertionError as error:
            raise AssertionError(f"{missing or ''} {error}\n{json.dumps(lot)[:100_000]}") from error

    def write_files(self, prefix: str, make: Callable[[str], dict[str, Any]]) -> None:
        names = [f"{prefix}x{index}" for index in range(LOT)]
        lot = [make(name) for name in names]
        for name, value in zip(names, lot, strict=True):
            self.node.write(f"{name}.{'json' if len(name) % 2 else 'yaml'}", json.dumps(value))
        self.check(names, lot)
        for file in self.node.folder.glob(f"{prefix}x*"):
            file.unlink()

    def write_records(self, prefix: str, make: Callable[[str], dict[str, Any]]) -> None:
        names = [f"{prefix}x{index}" for index in range(LOT)]
        values = [_as_json(make(name)) for name in names]
        lot = [{"id": name, "spec": value} for name, value in zip(names, values, strict=True)]
        writes = [Write(record_path(name), value) for name, value in zip(names, lot, strict=True)]
        anyio.run(self._batch, writes)
        self.check(names, lot)
        anyio.run(self._batch, [Write(write.path, deleted=True) for write in writes])

    async def _batch(self, writes: Sequence[Write]) -> None:
        client = HyperClient(str(self.node.home / "hyper.sock"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.run)
            await client.ready()
            database = await client.create("records")
            await client.batch(database.db_id, writes)
            tasks.cancel_scope.cancel()


def _as_json(value: Any) -> Any:
    """As a daemon takes it: no halves of characters, and no numbers that JavaScript has not."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and abs(value) > 2**53 - 1:
        return 1e30
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {_as_json(key): _as_json(item) for key, item in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def fuzzed() -> Iterator[Fuzzed]:
    made = Fuzzed()
    try:
        yield made
    finally:
        made.node.close()


def run(fuzzed: Fuzzed, seed: int, manifests: int) -> None:
    random = Random(seed)
    files, records = count(), count()
    for number in range(manifests // LOT):
        if number < 2:
            # Each of the worst in a file and in a record.
            fuzzed.write_files(f"f{number}", lambda name: worst(name, next(files)))
            fuzzed.write_records(f"r{number}", lambda name: worst(name, next(records)))
        write = fuzzed.write_records if number % 2 else fuzzed.write_files
        write(f"s{seed}n{number}", partial(document, random))


@pytest.mark.timeout(300)
def test_a_hundred_manifests_end_no_node(fuzzed: Fuzzed) -> None:
    run(fuzzed, 16, 100)


@pytest.mark.soak
def test_ten_thousand_manifests_end_no_node(fuzzed: Fuzzed) -> None:
    run(
        fuzzed,
        int(os.environ.get("ATEK_SOAK_SEED", "1")),
        int(os.environ.get("ATEK_SOAK_MANIFESTS", "10000")),
    )
