"""The image of each service: pulled as its manifest wants, or built from its package and kept by content.

That images were built for a service is noted beside the node's state, because only then is there something to
remove; and the note goes with the last of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.base import RuntimeFailure
from runtimes.docker import build
from runtimes.docker.failures import EngineAnswer, other_failure, start_failure
from runtimes.docker.images import Images, built_tag
from runtimes.packages.tools import ToolLog

if TYPE_CHECKING:
    from collections.abc import Collection

    from manifests.model.service import Service
    from runtimes.base import Progress
    from runtimes.docker.engine import Engine
    from runtimes.docker.folders import Folders
    from runtimes.docker.spec import Image

_BUILT = "built-images"


class ServiceImages:
    """The images of one node's services on one engine."""

    def __init__(self, engine: Engine, folders: Folders, node: str) -> None:
        self._engine = engine
        self._paths = folders.paths
        self._images = Images(engine, folders.credentials)
        self._notes = folders.paths.home / "state" / _BUILT
        self._node = node

    async def prepare(self, service: Service, progress: Progress) -> None:
        """Afterwards the engine has it. Raises RuntimeFailure."""
        try:
            await self._prepare(service, progress)
        except EngineAnswer as answer:
            raise other_failure(answer, f"the image of {service.id} cannot be had") from answer

    async def image(self, service: Service) -> Image:
        """What was prepared; once more, where somebody removed it since. Raises RuntimeFailure."""
        reference = self._reference(service)
        try:
            found = await self._images.find(reference)
            if found is None:
                await self.prepare(service, lambda _: None)
                found = await self._images.find(reference)
        except EngineAnswer as answer:
            raise start_failure(service.id, answer) from answer
        if found is None:
            raise RuntimeFailure("ImageMissing", f"the image of {service.id} is gone again")
        return found

    async def fetch(self, reference: str) -> None:
        """Afterwards the engine has it, for a service that is to run it. Raises RuntimeFailure."""
        try:
            await self._images.ensure(reference, "ifNotPresent", lambda _: None)
        except EngineAnswer as answer:
            raise other_failure(answer, f"{reference} cannot be had") from answer

    async def digests(self, reference: str) -> list[str] | None:
        """See `Images.digests`."""
        return await self._images.digests(reference)

    async def collect(self, service_id: str, keep: Collection[Service]) -> None:
        """Removes what was built for a service, but for these. Raises EngineAnswer."""
        note = self._notes / service_id
        if not note.exists():
            return
        tags = [built_tag(self._node, each) for each in keep if each.package]
        await self._images.collect(self._node, service_id, tags)
        if not tags and not await self._images.built(self._node, service_id):
            note.unlink(missing_ok=True)

    def _reference(self, service: Service) -> str:
        return service.manifest.image or "" if service.package is None else built_tag(self._node, service)

    async def _prepare(self, service: Service, progress: Progress) -> None:
        reference = self._reference(service)
        if service.package is None:
            await self._images.ensure(reference, service.manifest.pull, progress)
            return
        if await self._images.find(reference) is not None:
            return
        self._notes.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._notes / service.id).touch()
        with ToolLog(self._paths.logs(service.id)).open() as log:

            def tell(line: str) -> None:
                log.write(line.encode() + b"\n")
                progress(line)

            await build.build(self._engine, service, reference, node=self._node, progress=tell)
