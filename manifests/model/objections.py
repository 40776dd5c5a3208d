"""What is wrong with a manifest as a whole, where each of its keys is right by itself. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic.alias_generators import to_camel

from manifests.model.git import is_git, parse_git
from manifests.model.placement import objection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manifests.model.manifest import Manifest


def objections(manifest: Manifest) -> Iterator[str]:
    """All of them, in sentences for a person."""
    if manifest.source is None and manifest.command is None and manifest.image is None:
        yield "a service needs a source (its package folder) or a command, or an image"
    if manifest.source is not None and manifest.image is not None:
        yield "image and source exclude each other: the image is built from the source"
    if manifest.run == "inPlace":
        yield from _of_running_in_place(manifest)
    if manifest.version is not None:
        yield from _of_version(manifest)
    if manifest.is_container:
        yield from _of_container(manifest)
    elif (key := manifest.container_key) and (manifest.runtime is not None or manifest.source is None):
        # A folder without `runtime` may turn out to have a Dockerfile.
        yield f"{to_camel(key)} is for containers; write runtime: docker"
    if (port := manifest.exclusive_port) and manifest.replicas > 1:
        yield f"{manifest.replicas} replicas cannot share port {port}; write port: auto"
    if port and manifest.update.strategy == "rolling":
        yield f"a rolling update cannot run two revisions on port {port}; write port: auto or recreate"
    if why := objection(manifest):
        yield why
    if any(dependency.id == manifest.id for dependency in manifest.depends_on):
        yield "a service cannot depend on itself"


def _of_running_in_place(manifest: Manifest) -> Iterator[str]:
    if manifest.source is None or is_git(manifest.source) or manifest.source.startswith("hyper://"):
        yield "run: inPlace is for a source that is a folder of this machine"
    if manifest.is_container:
        yield "run: inPlace is for programs of this machine; a container has an image"


def _of_version(manifest: Manifest) -> Iterator[str]:
    if manifest.source is None or not is_git(manifest.source):
        yield "version is for packages from Git: it chooses among their tags"
    elif ref := parse_git(manifest.source).ref:
        yield f"version and #{ref} exclude each other: write the range or the branch or tag"


def _of_container(manifest: Manifest) -> Iterator[str]:
    if manifest.runtime not in (None, "docker"):
        yield f"an image is run by the docker runtime, not by {manifest.runtime}"
    if manifest.image is None and manifest.source is None:
        yield "a container needs an image, or a source with a Dockerfile"
    if manifest.build is not None and manifest.source is None:
        yield "build is for a source with a Dockerfile; an image is built already"
    if manifest.network == "none" and (manifest.port is not None or manifest.publish):
        yield "with network: none nobody reaches a port; leave it out, or the network"
    if manifest.network == "host" and manifest.publish:
        yield "with network: host every port is this machine's already; leave publish out"
    if manifest.network != "bridge" and manifest.egress:
        yield "egress is for network: bridge"
