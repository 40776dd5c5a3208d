"""Newer images over hours: by digest and by tag, taken, given back, and as the manifest says otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from manifests.model.manifest import Manifest
from manifests.model.merge import Winner
from manifests.model.service import Service, make_service
from manifests.model.snapshot import Declared
from reconciler.decide.updating import Ask, Choice, Edit, Kept, Move, Stay, Wanted, decide
from reconciler.drive.image_releases import ImageReleases
from reconciler.state.images import ImagePins

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

pytestmark = pytest.mark.anyio

OLD, NEW = (f"sha256:{digit * 64}" for digit in "ab")


class Registry:
    """Implements `Images`: what is offered, and what the engine has."""

    def __init__(self) -> None:
        self.now = OLD
        self.offer: tuple[str, str] | None = ("1.1.0", NEW)
        self.here: list[str] | None = [f"localhost/app@{OLD}"]
        self.fetched: list[str] = []

    async def digest(self, image: str) -> str:
        return self.now

    async def newest(self, image: str, wanted: str) -> tuple[str, str] | None:
        return self.offer

    async def digests(self, image: str) -> Collection[str] | None:
        return self.here

    async def fetch(self, reference: str) -> None:
        self.fetched.append(reference)


def winner(image: str = "localhost:5000/app:1.0.0", rule: str = "^1") -> Winner:
    manifest = Manifest.model_validate({"id": "a", "image": image, "autoUpdate": {"image": rule}})
    return Winner(Declared(manifest, "/", "a.yaml"), "x")


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def images(registry: Registry, tmp_path: Path) -> ImageReleases:
    made = ImageReleases(ImagePins(tmp_path / "images.json"))
    made.images = registry
    return made


def runs(images: ImageReleases, found: Winner) -> str | None:
    return images.located(found).declared.manifest.image


async def step(images: ImageReleases, found: Winner) -> object:
    offered = await images.newest(found)
    return decide(Wanted(images.here(found), approved=True, keeps=""), offered, Kept())


async def test_a_newer_tag_is_run_by_its_digest(
    images: ImageReleases, registry: Registry, tmp_path: Path
) -> None:
    found = winner()
    assert runs(images, found) == "localhost:5000/app:1.0.0"
    to = Choice(NEW, "1.1.0")
    assert await step(images, found) == Move(to)
    await images.fetch(found, to)
    assert registry.fetched == [f"localhost:5000/app@{NEW}"]
    before = images.here(found)
    images.stay(found, to)
    assert runs(images, found) == f"localhost:5000/app@{NEW}"
    again = ImageReleases(ImagePins(tmp_path / "images.json"))
    assert runs(again, found) == f"localhost:5000/app@{NEW}", "in the next life too"
    assert await step(images, found) == Stay()
    # Back to what the manifest says, which is what ran.
    assert before is not None
    images.stay(found, before)
    assert runs(images, found) == "localhost:5000/app:1.0.0"


async def test_nobody_is_led_down_and_of_no_version_somebody_is_asked(
    images: ImageReleases, registry: Registry
) -> None:
    registry.offer = ("0.9.0", NEW)
    assert await step(images, winner()) == Stay()
    registry.offer = None
    assert await step(images, winner()) == Stay()
    registry.offer = ("1.1.0", NEW)
    assert isinstance(await step(images, winner("localhost:5000/app:stable")), Ask)


async def test_a_digest_that_is_here_already_is_no_news(images: ImageReleases, registry: Registry) -> None:
    found = winner("localhost:5000/app", "digest")
    assert await step(images, found) == Stay()
    registry.here = None
    assert await step(images, found) == Stay(), "what is not fetched yet will be what is there then"
    registry.here = [f"localhost/app@{OLD}"]
    registry.now = NEW
    to = Choice(NEW, "latest", rolling=True)
    assert await step(images, found) == Move(to)
    images.stay(found, to)
    assert await step(images, found) == Stay()
    registry.now = OLD
    assert await step(images, found) == Move(Choice(OLD, "latest", rolling=True)), "whatever its tag is now"


def test_another_image_or_another_rule_in_the_manifest_is_what_runs(images: ImageReleases) -> None:
    images.stay(winner(), Choice(NEW, "1.1.0"))
    assert runs(images, winner("localhost:5000/app:1.2.0")) == "localhost:5000/app:1.2.0"
    assert runs(images, winner(rule="^2")) == "localhost:5000/app:1.0.0"
    assert runs(images, winner()) == f"localhost:5000/app@{NEW}"


def test_what_runs_is_read_back_from_a_record(images: ImageReleases) -> None:
    images.stay(winner(), Choice(NEW, "1.1.0"))
    for found in (winner(), images.located(winner())):
        service = make_service(found.declared.manifest, runtime="docker", package=None, source="x")
        assert Service.from_json(service.to_json()) == service


@pytest.mark.parametrize("rule", ["^1", "digest"])
async def test_what_is_written_back_says_what_runs(
    rule: str, images: ImageReleases, registry: Registry, tmp_path: Path
) -> None:
    found = winner(rule=rule)
    assert images.edit(found) is None
    registry.now = NEW
    offered = await images.newest(found)
    assert offered is not None
    images.stay(found, offered)
    ran = runs(images, found)
    change = images.edit(found)
    tag = "1.1.0" if rule == "^1" else "1.0.0"
    assert change == Edit("image", "localhost:5000/app:1.0.0", f"localhost:5000/app:{tag}@{NEW}")
    written = winner(change.after, rule)
    for each in (images, ImageReleases(ImagePins(tmp_path / "another node"))):
        each.images = registry
        assert runs(each, written) == ran == f"localhost:5000/app@{NEW}", "no other revision"
        assert each.edit(written) is None
        assert await step(each, written) == Stay()
    registry.now, registry.offer = OLD, ("1.2.0", OLD)
    assert await step(images, written) == Move(
        Choice(OLD, "1.2.0" if rule == "^1" else tag, rule == "digest")
    )
    images.stay(written, Choice(OLD, "1.2.0"))
    assert images.edit(written) == Edit("image", change.after, f"localhost:5000/app:1.2.0@{OLD}")


def test_a_digest_alone_has_nothing_newer() -> None:
    with pytest.raises(ValueError, match="an image with a tag"):
        winner(f"localhost:5000/app@{OLD}")
