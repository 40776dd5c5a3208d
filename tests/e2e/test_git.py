"""Packages from Git on a real node, whatever runs them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.nodes import Bench
from tests.runtimes.packages.git_server import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = """
console.log(require('fs').readFileSync(__dirname + '/hello.txt', 'utf8'))
require('http').createServer().listen(process.env.ATEK_ASSIGNED_SOCKET_FILE)
"""
SERVICES = "atek.cloud/services-api"


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


@pytest.fixture
def apps(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "apps")
    made.commit({"notes/hello.txt": "one", "notes/index.js": PROGRAM}, tag="v1")
    return made


def declare(bench: Bench, service_id: str, source: str) -> None:
    bench.write(f"{service_id}.json", json.dumps({"id": service_id, "source": source}))


def output(bench: Bench, service_id: str) -> list[str]:
    return bench.atek("logs", service_id).stdout.split()


def test_a_branch_is_followed_and_a_tag_stays(bench: Bench, apps: Repository) -> None:
    declare(bench, "latest", f"{apps.path}#:notes")
    declare(bench, "stable", f"{apps.path}#v1:notes")
    declare(bench, "typo", f"{apps.path}#v1:note")
    plan = bench.atek("plan", str(bench.folder))
    assert "only a node knows its package" in plan.stdout
    bench.up()
    bench.until(lambda: bench.ready("latest", "stable"), "they are ready")
    assert bench.atek("plan").stdout.count("no changes") <= 1
    bench.until(lambda: bench.condition("typo", "Stalled")[1] == "GitFolderMissing", "it says why")
    assert f"{apps.path} has no folder note" in bench.atek("status", "typo").stdout
    assert bench.stop() == 0
    apps.commit({"notes/hello.txt": "two"})
    bench.up()
    bench.until(lambda: output(bench, "latest")[-1:] == ["two"], "the new commit runs")
    bench.until(lambda: bench.ready("latest", "stable"), "they are ready")
    assert set(output(bench, "stable")) == {"one"}


def test_nothing_of_it_is_needed_to_boot(bench: Bench, apps: Repository, tmp_path: Path) -> None:
    declare(bench, "notes", f"{apps.path}#main:notes")
    bench.up()
    bench.until(lambda: bench.ready("notes"), "it is ready")
    assert bench.stop() == 0
    apps.path.rename(tmp_path / "away")
    bench.up()
    bench.until(lambda: bench.ready("notes"), "it is ready again")
    bench.until(lambda: "GitFetchFailed" in bench.atek("events").stdout, "the loss is told")
    assert bench.condition("notes", "Stalled")[0] == "False"


def test_a_repository_is_installed_by_its_url(bench: Bench, apps: Repository) -> None:
    bench.up()

    def call(method: str, *params: Any) -> Any:
        done = bench.atek("call", SERVICES, method, json.dumps(params))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    options = {"sourceUrl": f"file://{apps.path}#main:notes", "config": {"level": "3"}}
    done = bench.atek("call", SERVICES, "install", json.dumps([options | {"desiredVersion": "^1"}]))
    assert done.returncode == 1 and "version and #main exclude each other" in done.stderr
    info = call("install", options)["settings"]
    assert (info["id"], info["package"]) == ("notes", {"sourceType": "git", "installedVersion": "main"})
    assert info["sourceUrl"] == f"{apps.path}#main:notes"
    bench.until(lambda: bool(bench.service("notes")["instances"]), "it runs")
    call("uninstall", "notes")


def test_a_release_stays_until_somebody_asks(bench: Bench, apps: Repository) -> None:
    apps.commit({"notes/hello.txt": "1.0.0"}, tag="v1.0.0")
    apps.commit({"notes/hello.txt": "ahead"})
    declare(bench, "notes", f"{apps.path}#:notes")
    bench.up()
    bench.until(lambda: output(bench, "notes")[-1:] == ["1.0.0"], "the newest release runs")
    apps.commit({"notes/hello.txt": "1.1.0"}, tag="v1.1.0")
    assert bench.stop() == 0
    bench.up()
    bench.until(lambda: bench.ready("notes"), "it is ready again")
    assert set(output(bench, "notes")) == {"1.0.0"}
    asked = bench.atek("call", SERVICES, "updatePackage", '["notes"]')
    assert asked.returncode == 0, asked.stderr
    bench.until(lambda: output(bench, "notes")[-1:] == ["1.1.0"], "the newer release runs")
    bench.write("notes.json", json.dumps({"id": "notes", "source": f"{apps.path}#:notes", "version": "~1.0"}))
    bench.until(lambda: output(bench, "notes")[-1:] == ["1.0.0"], "the manifest leads it back")


WRITES = """#!/bin/sh
echo {edition} >> journal
echo $$ > pid
sleep 1000
"""


def journal(bench: Bench) -> list[str]:
    """Of the copy that is used, which is the only one once the older one is cleared away."""
    copies = [each for each in (bench.home / "packages" / "own").glob("[0-9a-f]*") if each.is_dir()]
    if len(copies) != 1 or not (copies[0] / "journal").exists():
        return []
    return (copies[0] / "journal").read_text().split()


def test_what_a_process_writes_beside_its_code_goes_along(bench: Bench, tmp_path: Path) -> None:
    apps = Repository(tmp_path / "own")

    def publish(edition: int) -> None:
        apps.commit({"run": WRITES.format(edition=edition)})
        apps.git("update-index", "--chmod=+x", "run")
        apps.commit({"edition": str(edition)})

    def declare_own() -> None:
        source = f"{apps.path}#main"
        bench.declare("own", "sh", "./run", source=source, runtime="process")

    publish(1)
    declare_own()
    bench.up()
    bench.until(lambda: journal(bench) == ["1"], "it runs")
    bench.until(lambda: bench.ready("own"), "it is ready")
    # It is the same program after a kill -9 of the node, and a newer commit takes over from it.
    pid = bench.pid("own")
    bench.kill()
    bench.up()
    bench.until(lambda: bench.ready("own") and bench.pid("own") == pid, "it is adopted")
    bench.kill()
    publish(2)
    bench.up()
    bench.until(lambda: journal(bench) == ["1", "2"], "the new commit has what the old one wrote")
    (bench.folder / "own.json").unlink()
    bench.until(lambda: not (bench.home / "packages/own").exists(), "it is deleted")
    declare_own()
    bench.until(lambda: journal(bench) == ["1", "2", "2"], "it is there again")
    written = [*(bench.home / "packages/.repositories").rglob("journal")]
    assert written == []
