"""What a container mounts of its repository: at that commit, for as long as anything needs it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from manifests.model.containers import parse_volume
from manifests.model.rights import beyond
from reconciler.gitops.copies import CONTENT
from reconciler.gitops.offline import KeptManifests
from tests.reconciler.gitops.test_decide import entry
from tests.reconciler.gitops.test_source import living

if TYPE_CHECKING:
    from manifests.model.snapshot import Snapshot
    from tests.reconciler.gitops.test_source import Life
    from tests.runtimes.packages.git_server import Repository

pytestmark = pytest.mark.anyio

FILE = """
name: web
services:
  web:
    image: x
    volumes: ["./conf:/etc/conf", "./nginx.conf:/etc/n.conf:ro", "data:/data", "./none:/none", "../up:/up"]
volumes: {data: }
"""
READY = entry()
FILES: dict[str, str | None] = {
    "shop/compose.yaml": FILE,
    "shop/conf/a": "1",
    "shop/conf/deep/b": "2",
    "shop/nginx.conf": "listen 80;",
    "up/secret": "x",
}


def volumes(snapshot: Snapshot) -> list[str]:
    return [*next(each for each in snapshot.services if each.manifest.id == "web").manifest.volumes]


def sources(snapshot: Snapshot) -> list[Path]:
    return [Path(parse_volume(each).source) for each in volumes(snapshot)]


async def settled(life: Life) -> None:
    life.fares(web=READY)
    await life.until(lambda: life.ready()["status"] == "True")


async def applied(life: Life, commit: str) -> None:
    await life.git.sync("home")
    await life.until(lambda: life.source.status()["applied"]["commit"] == commit)


async def test_folders_and_files_beside_it_are_those_of_the_commit(home: Path, origin: Repository) -> None:
    origin.commit(FILES)
    async with living(home, url=str(origin.path)) as life:
        found = volumes(life.source.snapshot)
        conf, nginx, _, none, up = sources(life.source.snapshot)
        assert conf.name == nginx.name == CONTENT and conf != nginx
        assert {str(each.relative_to(conf)) for each in conf.rglob("*")} == {"a", "deep", "deep/b"}
        assert nginx.read_text() == "listen 80;"
        assert [each.endswith(":ro") for each in found] == [True, True, False, False, False]
        assert found[2] == "data:/data"
        # What is not there, or above, is not its own.
        assert (none.name, up.name) == ("none", "up") and CONTENT not in f"{none}{up}"
        assert not os.stat(conf / "a").st_mode & 0o222 and not os.stat(conf).st_mode & 0o222


async def test_a_commit_that_leaves_them_alone_changes_nothing(home: Path, origin: Repository) -> None:
    origin.commit(FILES)
    async with living(home, url=str(origin.path)) as life:
        await settled(life)
        before = life.source.snapshot.services[0].manifest
        await applied(life, origin.commit({"README.md": "more", "shop/other": "x"}))
        changed = volumes(life.source.snapshot)
        assert before.volumes[:3] == tuple(changed[:3])
        await settled(life)
        await applied(life, origin.commit({"shop/conf/a": "2"}))
        again = volumes(life.source.snapshot)
        assert again[0] != changed[0] and again[1] == changed[1]
        assert (sources(life.source.snapshot)[0] / "a").read_text() == "2"


async def test_what_runs_keeps_its_copy_until_nothing_needs_it(home: Path, origin: Repository) -> None:
    origin.commit(FILES)
    async with living(home, url=str(origin.path)) as life:
        await settled(life)
        old = sources(life.source.snapshot)[0]
        life.used = {str(old)}
        for text in ("2", "3"):
            await applied(life, origin.commit({"shop/conf/a": text}))
            await settled(life)
        await life.until(lambda: len(list((home / "state" / "git").glob("*/*-copy"))) == 3)
        assert (old / "a").read_text() == "1"
        life.used = set()
        await applied(life, origin.commit({"shop/conf/a": "4"}))
        await settled(life)
        await life.until(lambda: not old.exists())
        assert (sources(life.source.snapshot)[0] / "a").read_text() == "4"


async def test_the_next_life_and_a_plan_know_the_same_places(home: Path, origin: Repository) -> None:
    origin.commit(FILES)
    async with living(home, url=str(origin.path)) as life:
        found, spec = volumes(life.source.snapshot)[:3], life.source.source
        place = life.source._place
    plan = KeptManifests(home, spec, place)
    await plan.scan()
    assert volumes(plan.snapshot)[:3] == found
    # After a power cut nobody knows whether they are whole.
    for mark in (home / "state" / "git").glob("*/*.boot"):
        mark.write_text("an earlier boot")
    conf = Path(parse_volume(found[0]).source)
    (conf / "a").chmod(0o644)
    (conf / "a").write_text("")
    async with living(home, url=str(origin.path)) as life:
        assert volumes(life.source.snapshot)[:3] == found
        assert (conf / "a").read_text() == "1"


async def test_links_lead_nowhere_else(home: Path, origin: Repository) -> None:
    (origin._tree / "shop").mkdir(parents=True)
    (origin._tree / "shop" / "conf").symlink_to("../up")
    files = {name: text for name, text in FILES.items() if "conf/" not in name}
    origin.commit(files)
    async with living(home, url=str(origin.path)) as life:
        assert CONTENT not in str(sources(life.source.snapshot)[0]), "a link out of the file's own folder"


async def test_a_strangers_file_has_its_own_folders_too(home: Path, origin: Repository) -> None:
    own = FILE.replace(', "./none:/none", "../up:/up"', "")
    origin.commit({**FILES, "shop/compose.yaml": own})
    policy: dict[str, Any] = {"trust": "foreign", "policy": {"runtimes": ["docker"]}}
    async with living(home, url=str(origin.path), **policy) as life:
        assert life.ids == ["web"], life.ready()
        assert (sources(life.source.snapshot)[0] / "a").read_text() == "1"
        assert asked(life.source.snapshot) == set()
        await applied(life, origin.commit({"shop/compose.yaml": own.replace("./conf", "/etc")}))
        assert asked(life.source.snapshot) == {"bind:/etc:rw"}, (
            "and of this machine nothing that nobody grants"
        )


def asked(snapshot: Snapshot) -> set[str]:
    (web,) = snapshot.services
    assert web.policy is not None
    return {each.id for each in beyond(web.policy.whole, web.manifest) if each.id.startswith("bind:")}
