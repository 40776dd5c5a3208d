"""What is wrong with a manifest as a whole, where each of its keys is right by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic.alias_generators import to_camel

from manifests.model.git import is_git, parse_git
from manifests.model.placement import swarm_violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manifests.model.spec import Spec


def violations(spec: Spec) -> Iterator[str]:
    """All of them, in sentences for a person."""
    if spec.source is None and spec.command is None and spec.image is None:
        yield "a service needs a source (its package folder) or a command, or an image"
    if spec.source is not None and spec.image is not None:
        yield "image and source exclude each other: the image is built from the source"
    if spec.run == "inPlace":
        yield from _of_running_in_place(spec)
    if spec.version is not None:
        yield from _of_version(spec)
    if spec.auto_update is not None:
        yield from _of_updating_itself(spec)
    if spec.run_as is not None and spec.is_container:
        yield "runAs is for programs of this machine; a container has user"
    if spec.is_container:
        yield from _of_container(spec)
    elif (key := spec.container_key) and (spec.runtime is not None or spec.source is None):
        # A folder without `runtime` may turn out to have a Dockerfile.
        yield f"{to_camel(key)} is for containers; write runtime: docker"
    if (port := spec.exclusive_port) and spec.replicas > 1:
        yield f"{spec.replicas} replicas cannot share port {port}; write port: auto"
    if port and spec.update.strategy == "rolling":
        yield f"a rolling update cannot run two revisions on port {port}; write port: auto or recreate"
    if spec.lan is not None and spec.lan.port == spec.exclusive_port:
        yield f"port {spec.lan.port} is the node's for lan, and the program's too; write port: auto"
    yield from _of_sandbox(spec)
    yield from _of_secrets(spec)
    if why := swarm_violation(spec):
        yield why
    if any(dependency.id == spec.id for dependency in spec.depends_on):
        yield "a service cannot depend on itself"


def _of_running_in_place(spec: Spec) -> Iterator[str]:
    if spec.source is None or is_git(spec.source) or spec.source.startswith("hyper://"):
        yield "run: inPlace is for a source that is a folder of this machine"
    if spec.is_container:
        yield "run: inPlace is for programs of this machine; a container has an image"


def _of_version(spec: Spec) -> Iterator[str]:
    if spec.source is None or not is_git(spec.source):
        yield "version is for packages from Git: it chooses among their tags"
    elif ref := parse_git(spec.source).ref:
        yield f"version and #{ref} exclude each other: write the range or the branch or tag"


def _of_sandbox(spec: Spec) -> Iterator[str]:
    if spec.is_container:
        # What a Dockerfile runs is built by it.
        if spec.sandbox == "private" or (spec.sandbox == "strict" and spec.source is None):
            yield "sandbox is for programs of this machine; a container has its engine's, and isolation"
        if spec.binds:
            yield "binds is for programs of this machine; a container has volumes"
        if spec.destinations:
            yield "a container reaches all other machines or none; write egress: true, or leave it out"
    elif spec.sandbox != "strict":
        if spec.destinations:
            yield "egress lists what a strict sandbox lets through; write sandbox: strict beside it"
        if spec.binds:
            yield "binds is for a strict sandbox; write sandbox: strict beside it"


def _of_secrets(spec: Spec) -> Iterator[str]:
    if twice := sorted(name for name, each in spec.secrets.items() if each.as_ == "env" and name in spec.env):
        yield f"{', '.join(twice)} is in env and in secrets; write it once"
    if spec.secrets and spec.placement == "swarm":
        yield "secrets are not for placement: swarm: the swarm would keep them in plain text"
    targets = [each.target for each in spec.secrets.values() if each.target is not None]
    if targets and not spec.is_container and (spec.runtime is not None or spec.source is None):
        yield "target is a place in a container; a program of this machine finds its file by NAME_FILE"
    if len(set(targets)) < len(targets):
        yield "two secrets have the same target"


def _of_updating_itself(spec: Spec) -> Iterator[str]:
    assert spec.auto_update is not None
    if spec.image is not None:
        yield from _of_newer_images(spec, spec.auto_update.image)
    elif spec.source is None or not is_git(spec.source):
        yield "autoUpdate is for packages from Git and for images: it takes newer releases of theirs"
    elif ref := parse_git(spec.source).ref:
        yield f"autoUpdate is for releases; #{ref} names a version, or a branch, which is followed anyway"
    elif spec.auto_update.image is not None:
        yield "autoUpdate.image is for containers; which releases of a repository are taken, version says"
    elif spec.auto_update.write_back:
        yield "autoUpdate.writeBack is for images: version is a range, and says the same of a newer release"


def _of_newer_images(spec: Spec, rule: str | None) -> Iterator[str]:
    if rule is None:
        yield "autoUpdate of a container has to say image: digest, or a range of tags like ^1.2"
    name, at, _ = (spec.image or "").partition("@")
    if at and ":" not in name.rpartition("/")[2]:
        yield "autoUpdate is for an image with a tag; its digest names one image, which is never another"
    if spec.pull != "ifNotPresent":
        yield f"autoUpdate and pull: {spec.pull} exclude each other: it decides itself what is fetched"
    if spec.placement == "swarm":
        yield "autoUpdate is for containers of this machine, not for placement: swarm"


def _of_container(spec: Spec) -> Iterator[str]:
    if spec.runtime not in (None, "docker"):
        yield f"an image is run by the docker runtime, not by {spec.runtime}"
    if spec.image is None and spec.source is None:
        yield "a container needs an image, or a source with a Dockerfile"
    if spec.build is not None and spec.source is None:
        yield "build is for a source with a Dockerfile; an image is built already"
    if spec.network == "none" and (spec.port is not None or spec.publish):
        yield "with network: none nobody reaches a port; leave it out, or the network"
    if spec.network == "host" and spec.publish:
        yield "with network: host every port is this machine's already; leave publish out"
    if spec.network != "bridge" and spec.egress:
        yield "egress is for network: bridge"
