"""What anybody writes into records, past all checks, is one service's condition, on author and follower."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hyper.core_services import HYPER_ID
from manifests.documents.record import record_path
from reconciler.cli.client import Client
from tests.hyper.daemons import write_raw

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.members import Member

pytestmark = [pytest.mark.xdist_group("members"), pytest.mark.timeout(300)]


def record(service_id: str, **spec: object) -> bytes:
    return json.dumps({"id": service_id, "spec": {"id": service_id, **spec}}).encode()


def push(node: Member, service_id: str, text: str) -> None:
    folder = node.root / service_id
    folder.mkdir(exist_ok=True)
    (folder / "index.js").write_text(f"// {text}\nsetInterval(() => {{}}, 1000)\n")
    (folder / "atek.yaml").write_text(f"id: {service_id}\nprobes: {{readiness: none}}\n")
    node.told("push", str(folder))


def wait(node: Member, holds: Callable[[Member], object]) -> None:
    node.until(lambda: holds(node), node.name)


def path_of(node: Member, service_id: str) -> tuple[str, ...]:
    """Where the record of a service is."""
    client = Client(node.home)
    version = max(entry["version"] for entry in client.call("history"))
    records = client.call("recordsAt", version=version)
    (path,) = (record["path"] for record in records if record["value"].get("id") == service_id)
    return tuple(path)


def has_reason(service_id: str, kind: str, node: Member) -> bool:
    return node.condition(service_id, kind)[1] == "BrokenRecord"


def program_of(node: Member, service_id: str) -> str:
    instances = node.service(service_id)["instances"]
    return Path(f"/proc/{instances[0]['pid']}/cwd/index.js").read_text() if len(instances) == 1 else ""


def test_poison_in_records_stops_nobody_else(pair: tuple[Member, Member]) -> None:
    laptop, pi = pair
    for node in pair:
        node.up()
    pi.follow(laptop)
    laptop.follow(pi, "--status-only")
    for name in ("app1", "app2"):
        push(laptop, name, "first")
    for node in pair:
        wait(node, lambda node: node.ready("app1", "app2"))
    running = {node: node.pid("app1") for node in pair}

    path = path_of(laptop, "app1")
    assert laptop.stop() == 0
    write_raw(
        laptop.home / "hyper",
        "records",
        (path, b'{"id": "app1", '),
        (record_path("nul"), record("nul", source="a\0b")),
        (record_path("half"), record("half", source="a\ud800b")),
        (record_path("huge"), record("huge", command=["sleep", "9"], resources={"memory": 10**30})),
        (record_path("deep"), b"[" * 100_000),
        (record_path("notutf8"), b'{"id": "\xff"}'),
        (record_path("future"), record("future", command=["sleep", "9"], warpDrive=True)),
        (record_path("list"), b"[1]"),
    )
    laptop.up()
    wait(laptop, lambda node: node.ready(HYPER_ID, "app2"))
    for node in pair:
        for name in ("nul", "half", "huge", "deep", "notutf8", "future"):
            wait(node, partial(has_reason, name, "Ready"))
        wait(node, partial(has_reason, "app1", "UpToDate"))
    assert pi.ready("app1") and pi.pid("app1") == running[pi]

    # What comes after it arrives, also on nodes that were killed and have it in their journals.
    for node in pair:
        node.kill()
        node.up()
    push(laptop, "app3", "later")
    for node in pair:
        wait(node, lambda node: node.ready("app1", "app2", "app3"))
    assert pi.pid("app1") == running[pi]

    # And its author can mend it.
    push(laptop, "app1", "second")
    for node in pair:
        wait(node, lambda node: node.ready("app1") and not node.condition("app1", "UpToDate")[1])
        wait(node, lambda node: "// second\n" in program_of(node, "app1"))
