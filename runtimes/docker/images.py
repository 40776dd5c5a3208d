"""Images: what they say about themselves, pulling what is missing, removing what was built here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from manifests.model.service import digest
from runtimes.base import PermanentFailure, RuntimeFailure
from runtimes.docker.credentials import authorization, registry_of
from runtimes.docker.failures import EngineAnswer, other_failure
from runtimes.docker.labels import of_node
from runtimes.docker.spec import Image, with_tag
from runtimes.docker.streams import json_lines

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from manifests.model.service import Service
    from runtimes.base import Progress
    from runtimes.docker.engine import Engine

_MIB = 2**20


class Images:
    """The images of one engine. `credentials` is the file with those for registries."""

    def __init__(self, engine: Engine, credentials: Path) -> None:
        self._engine = engine
        self._credentials = credentials

    async def find(self, reference: str) -> Image | None:
        """None when the engine does not have it. Raises RuntimeUnavailable or RuntimeFailure."""
        try:
            found = await self._engine.call("GET", f"/images/{quote(reference, safe='/:@')}/json")
        except EngineAnswer as answer:
            if answer.missing:
                return None
            raise other_failure(answer, f"the image {reference} cannot be looked at") from answer
        return _image(found)

    async def digests(self, reference: str) -> list[str] | None:
        """Its names by digest, `nginx@sha256:…`; None when the engine does not have it."""
        try:
            found = await self._engine.call("GET", f"/images/{quote(reference, safe='/:@')}/json")
        except EngineAnswer as answer:
            if answer.missing:
                return None
            raise other_failure(answer, f"the image {reference} cannot be looked at") from answer
        return list(found.get("RepoDigests") or ())

    async def ensure(self, reference: str, policy: str, progress: Progress) -> None:
        """Afterwards the engine has it, as fresh as the policy wants. Raises RuntimeFailure."""
        if policy != "always" and await self.find(reference) is not None:
            return
        if policy == "never":
            raise PermanentFailure(
                "ImageMissing",
                f"the engine does not have the image {reference}, and pull: never forbids to fetch it",
                hint="load or build it there and start the service again, or choose another pull:",
            )
        await self._pull(reference, progress)

    async def _pull(self, reference: str, progress: Progress) -> None:
        headers = authorization(self._credentials, reference)
        query = {"fromImage": with_tag(reference)}
        progress(f"pulls {reference}")
        layers: dict[str, tuple[int, int]] = {}
        try:
            async with self._engine.stream("POST", "/images/create", query=query, headers=headers) as chunks:
                async for line in json_lines(chunks):
                    if error := line.get("error"):
                        raise EngineAnswer(500, str(error))
                    if text := _progress(reference, line, layers):
                        progress(text)
        except EngineAnswer as answer:
            raise _pull_failure(answer, reference) from answer
        except ValueError as error:
            raise RuntimeFailure("ImagePullFailed", f"{reference}: the engine stopped in a line") from error

    async def built(self, node: str, service_id: str) -> dict[str, str]:
        """Tag → id of all images that were built here for a service."""
        prefix = repository(node, service_id) + ":"
        found = await self._engine.call("GET", "/images/json", query={"filters": of_node(node)})
        tags = ((tag, image["Id"]) for image in found for tag in image.get("RepoTags") or ())
        return {tag: image_id for tag, image_id in tags if tag.startswith(prefix)}

    async def collect(self, node: str, service_id: str, keep: Collection[str]) -> None:
        """Removes what was built here for a service and is not kept, by its tags."""
        for tag in (await self.built(node, service_id)).keys() - set(keep):
            try:
                await self._engine.call("DELETE", f"/images/{quote(tag, safe='/:@')}")
            except EngineAnswer as answer:
                # One that a container still uses is removed another time.
                if not (answer.missing or answer.conflict):
                    raise


def repository(node: str, service_id: str) -> str:
    """The name of images that this node builds for a service."""
    return f"atek-{node[:8]}/{service_id}"


def built_tag(node: str, service: Service) -> str:
    """By content: the same package never needs a second build."""
    assert service.package is not None
    how = service.manifest.build
    content = service.package.digest
    if how is not None:
        content = digest([content, how.model_dump()])
    return f"{repository(node, service.id)}:{content}"


def _image(found: dict[str, Any]) -> Image:
    config = found.get("Config") or {}
    pairs = (entry.partition("=") for entry in config.get("Env") or ())
    health = (config.get("Healthcheck") or {}).get("Test") or ["NONE"]
    return Image(
        id=found["Id"],
        user=config.get("User") or "",
        ports=tuple(_tcp_ports(config.get("ExposedPorts") or {})),
        volumes=tuple(sorted(config.get("Volumes") or ())),
        health=health[0] != "NONE",
        environment={name: value for name, _, value in pairs},
    )


def _tcp_ports(exposed: dict[str, Any]) -> list[int]:
    return [int(port) for port, _, protocol in (name.partition("/") for name in exposed) if protocol == "tcp"]


def _progress(reference: str, line: dict[str, Any], layers: dict[str, tuple[int, int]]) -> str:
    """What a person sees of all layers together; empty when nothing can be said."""
    detail = line.get("progressDetail") or {}
    if line.get("status") != "Downloading" or not detail.get("total"):
        return ""
    layers[line.get("id", "")] = (detail.get("current", 0), detail["total"])
    done, total = (sum(each) for each in zip(*layers.values(), strict=True))
    return f"pulls {reference}: {done / _MIB:.1f} of {total / _MIB:.1f} MiB"


def _pull_failure(answer: EngineAnswer, reference: str) -> RuntimeFailure:
    message = answer.message.lower()
    if answer.missing or "not found" in message or "manifest unknown" in message:
        hint = "check its name and tag; a private one needs credentials"
        return RuntimeFailure("ImagePullFailed", f"{reference}: {answer.message}", hint=hint)
    if any(word in message for word in ("unauthorized", "denied", "no basic auth")):
        hint = "put the registry's credentials into registries.json in the node's home"
        return RuntimeFailure("ImagePullFailed", f"{reference}: {answer.message}", hint=hint)
    if "invalid reference" in message:
        return PermanentFailure("ImagePullFailed", f"{reference}: {answer.message}")
    failure = other_failure(answer, f"{reference} cannot be pulled", "ImagePullFailed")
    failure.hint = (
        failure.hint or f"see whether its registry {registry_of(reference)} can be reached from here"
    )
    return failure
