"""Newer images: which tag or digest a service could have, and whether it is here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from manifests.model.semver import parse_range, parse_version
from runtimes.docker.registry import Registry, parse_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: What follows a version in a tag and is no prerelease: `-alpine`, `-bookworm-slim`.
_PRERELEASE = re.compile(r"(alpha|beta|rc|pre|preview|dev|nightly|snapshot|\d)[.\d-]*.*", re.IGNORECASE)


class Offers:
    """What registries offer. `credentials` is the file with those for them."""

    def __init__(self, credentials: Path) -> None:
        self._registry = Registry(credentials)

    async def digest(self, image: str) -> str:
        """What the image's tag is now. Raises RuntimeFailure."""
        return await self._registry.digest(image)

    async def newest(self, image: str, wanted: str) -> tuple[str, str] | None:
        """The newest tag in a range, and its digest; None where there is none. Raises RuntimeFailure."""
        tag = newest_tag(await self._registry.tags(image), parse_name(image).tag, wanted)
        if tag is None:
            return None
        return tag, await self._registry.digest(f"{repository_of(image)}:{tag}")


def repository_of(image: str) -> str:
    """The image's name without its tag."""
    before, slash, last = image.partition("@")[0].rpartition("/")
    return f"{before}{slash}{last.partition(':')[0]}"


def newest_tag(tags: Iterable[str], now: str, wanted: str) -> str | None:
    """Of the same variant as the tag that it is `now`: whoever runs `1.2.0-alpine` gets no other system."""
    variant = variant_of(now)
    found = {}
    for tag in tags:
        if variant_of(tag) == variant:
            version = parse_version(tag.removesuffix(f"-{variant}") if variant else tag)
            if version is not None:
                found[version] = tag
    newest = parse_range(wanted).newest(found)
    return None if newest is None else found[newest]


def variant_of(tag: str) -> str:
    """`alpine` of `1.2.0-alpine`; empty where there is none, and for prereleases."""
    suffix = tag.partition("-")[2]
    return "" if not suffix or _PRERELEASE.fullmatch(suffix) else suffix
