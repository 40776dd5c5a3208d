"""The images of registries, as `updates` moves services among them.

    autoUpdate: {image: digest}    whatever the manifest's tag is now
    autoUpdate: {image: ^1.2}      the newest tag in the range, of the same variant (`-alpine`)

A service runs what its manifest says until something newer is there, and that one by its digest from then on.
The manifest stays as it is; another image in it, or another rule, is what runs next. One that has a digest
beside its tag is at that one: so is written back what was found, and nothing runs otherwise for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from reconciler.decide.updating import Choice, Edit
from reconciler.state.images import ImagePin

if TYPE_CHECKING:
    from collections.abc import Collection

    from manifests.model.merge import Winner
    from reconciler.state.images import ImagePins

BY_DIGEST = "digest"


class Images(Protocol):
    """What registries offer and the engine has; `runtimes.docker.on_demand` has the real ones."""

    async def digest(self, image: str) -> str:
        """What the image's tag is now. Raises RuntimeFailure."""
        ...

    async def newest(self, image: str, wanted: str) -> tuple[str, str] | None:
        """The newest tag in a range, of the image's variant, and its digest. Raises RuntimeFailure."""
        ...

    async def digests(self, image: str) -> Collection[str] | None:
        """Those that the engine knows of an image, None where it does not have it. Raises RuntimeFailure."""
        ...

    async def fetch(self, reference: str) -> None:
        """Afterwards the engine has it. Raises RuntimeFailure."""
        ...


class ImageReleases:
    """Implements `reconciler.drive.origins.Origin`."""

    def __init__(self, pins: ImagePins) -> None:
        self._pins = pins
        self.images: Images | None = None

    def located(self, winner: Winner) -> Winner:
        """The same declaration, with the image that the service stays at."""
        here = self.here(winner) if self.origin(winner) is not None else None
        if here is None or not here.at:
            return winner
        manifest = winner.declared.manifest
        # What is for tags only would be wrong with a digest, when it is read again from a record.
        of_digest = {"image": _by_digest(_image_of(winner), here.at), "auto_update": None}
        declared = replace(winner.declared, manifest=manifest.model_copy(update=of_digest))
        return winner._replace(declared=declared)

    def rename(self, old: str, new: str) -> None:
        """The service stays at its image under its new id. Raises OSError."""
        self._pins.rename(old, new)

    def origin(self, winner: Winner) -> str | None:
        """See `Origin`."""
        manifest = winner.declared.manifest
        rule = manifest.auto_update.image if manifest.auto_update else None
        if manifest.image is None or rule is None:
            return None
        return f"{manifest.image} {rule}"

    def here(self, winner: Winner) -> Choice | None:
        """See `Origin`."""
        pin = self._pin(winner)
        return self._as_declared(winner) if pin is None else self._choice(winner, pin.digest, pin.tag)

    async def newest(self, winner: Winner) -> Choice | None:
        """See `Origin`."""
        assert self.images is not None
        image, rule = _image_of(winner), _rule_of(winner)
        if rule != BY_DIGEST:
            found = await self.images.newest(image, rule)
            return None if found is None else self._choice(winner, found[1], found[0])
        digest = await self.images.digest(image)
        if self._pin(winner) is None and not _digest_of(winner):
            known = await self.images.digests(image)
            # What is not fetched yet will be what is there then.
            if known is None or any(each.rpartition("@")[2] == digest for each in known):
                return self._as_declared(winner)
        return self._choice(winner, digest, _tag_of(image))

    async def fetch(self, winner: Winner, choice: Choice) -> None:
        """See `Origin`."""
        assert self.images is not None
        if choice.at:
            await self.images.fetch(_by_digest(_image_of(winner), choice.at))

    def stay(self, winner: Winner, choice: Choice) -> None:
        """See `Origin`."""
        origin = self.origin(winner)
        assert origin is not None
        pin = ImagePin(origin, choice.at, choice.tag) if choice.at else None
        self._pins.put(winner.declared.manifest.id, pin)

    def edit(self, winner: Winner) -> Edit | None:
        """See `Origin`."""
        pin, before = self._pin(winner), winner.declared.manifest.image or ""
        if pin is None:
            return None
        after = f"{_untagged(_image_of(winner))}:{pin.tag}@{pin.digest}"
        return Edit("image", before, after) if after != before else None

    def spare(self, winner: Winner, choice: Choice | None) -> None:
        """Images that were pulled are nobody's to delete."""

    def _pin(self, winner: Winner) -> ImagePin | None:
        origin = self.origin(winner)
        return None if origin is None else self._pins.get(winner.declared.manifest.id, origin)

    def _as_declared(self, winner: Winner) -> Choice:
        return self._choice(winner, _digest_of(winner), _tag_of(_image_of(winner)))

    def _choice(self, winner: Winner, digest: str, tag: str) -> Choice:
        return Choice(digest, tag, rolling=_rule_of(winner) == BY_DIGEST)


def _image_of(winner: Winner) -> str:
    """Without a digest."""
    image = winner.declared.manifest.image
    assert image is not None
    return image.partition("@")[0]


def _digest_of(winner: Winner) -> str:
    return (winner.declared.manifest.image or "").partition("@")[2]


def _rule_of(winner: Winner) -> str:
    rule = winner.declared.manifest.auto_update
    assert rule is not None
    assert rule.image is not None
    return rule.image


def _tag_of(image: str) -> str:
    return image.rpartition("/")[2].partition(":")[2] or "latest"


def _by_digest(image: str, digest: str) -> str:
    return f"{_untagged(image)}@{digest}"


def _untagged(image: str) -> str:
    before, slash, last = image.rpartition("/")
    return f"{before}{slash}{last.partition(':')[0]}"
