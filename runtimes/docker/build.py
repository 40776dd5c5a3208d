"""Builds the image of a package that has a Dockerfile, through the API.

The package is sent as it is, without what .dockerignore excludes. The image's tag is the digest of the
package, so what was built once is never built again.
"""

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from manifests.model.containers import Build
from manifests.packages.digests import package_files
from runtimes.base import PermanentFailure, RuntimeFailure
from runtimes.docker.failures import EngineAnswer, other_failure
from runtimes.docker.ignore import Ignore, read_ignore
from runtimes.docker.labels import NODE, SERVICE
from runtimes.docker.streams import json_lines
from runtimes.packages.tool_errors import ToolWords
from runtimes.packages.tools import printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from manifests.model.service import Package, Service
    from runtimes.base import Progress
    from runtimes.docker.engine import Engine

_CLOSED = "what others wrote is built without any network: bring what it needs along, or name an image"
#: Bytes of a file that are sent at a time.
_CHUNK = 2**18


async def build(engine: Engine, service: Service, tag: str, *, node: str, progress: Progress) -> None:
    """Afterwards the engine has the image under this tag. Raises RuntimeFailure: BuildFailed and others."""
    package, service_id = service.package, service.id
    assert package is not None
    how = service.manifest.build or Build()
    query = {
        "t": tag, "rm": True, "forcerm": True, "labels": {NODE: node, SERVICE: service_id},
        **({"networkmode": "none"} if _is_foreign(service) else {}),
        "dockerfile": how.dockerfile, "buildargs": how.args, **({"target": how.target} if how.target else {}),
    }  # fmt: skip
    words = ToolWords()
    try:
        async with engine.stream(
            "POST", "/build", query=query, body=_context(package, how.dockerfile)
        ) as chunks:
            async for line in json_lines(chunks):
                if error := line.get("error"):
                    raise EngineAnswer(500, str(error))
                for text in map(printable, str(line.get("stream", "")).splitlines()):
                    if text:
                        words.hear(text)
                        progress(text)
    except EngineAnswer as answer:
        raise _failure(answer, service, words) from answer
    except OSError as error:
        where = error.filename or package.path
        raise RuntimeFailure("SourceUnreadable", f"{where}: {error.strerror}") from error
    except ValueError as error:
        raise RuntimeFailure("BuildFailed", f"the build of {service_id} ended in a line") from error


def _failure(answer: EngineAnswer, service: Service, words: ToolWords) -> RuntimeFailure:
    service_id, foreign = service.id, _is_foreign(service)
    what = f"the build of {service_id} failed"
    if "dockerfile parse error" in answer.message.lower():
        return PermanentFailure("BuildFailed", f"{what}: {answer.message}")
    told = f"{words} ({answer.message})" if words else answer.message
    failure = other_failure(EngineAnswer(answer.status, told), what, "BuildFailed")
    closed = f"; {_CLOSED}" if foreign else ""
    failure.hint = failure.hint or f"see `atek logs {service_id} --prepare`{closed}"
    return failure


def _is_foreign(service: Service) -> bool:
    """An engine knows no destinations: what others wrote is built with no network at all."""
    return service.manifest.sandbox == "strict"


async def _context(package: Package, dockerfile: str) -> AsyncIterator[bytes]:
    """The package as a tar archive, piece by piece: it need not fit into memory."""
    pieces = _archive(package.path, read_ignore(package.path, dockerfile))
    while piece := await anyio.to_thread.run_sync(next, pieces, b""):
        yield piece


def _archive(path: str, ignore: Ignore) -> Iterator[bytes]:
    for relative, entry in package_files(path):
        if ignore.excludes(relative):
            continue
        found = entry.stat(follow_symlinks=False)
        info = tarfile.TarInfo(relative)
        info.mode = found.st_mode & 0o777
        # The engine's cache looks at times too; the same content is to be the same layer.
        info.mtime = 0
        if entry.is_symlink():
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(entry.path)
            yield _header(info)
        elif entry.is_dir():
            info.type = tarfile.DIRTYPE
            yield _header(info)
        else:
            info.size = found.st_size
            yield _header(info)
            yield from _content(entry.path, found.st_size)
    yield bytes(tarfile.BLOCKSIZE * 2)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT)


def _content(path: str, size: int) -> Iterator[bytes]:
    """Exactly `size` bytes and the padding after them, whatever happens to the file meanwhile."""
    with open(path, "rb", buffering=io.DEFAULT_BUFFER_SIZE) as file:
        left = size
        while left:
            piece = file.read(min(_CHUNK, left))
            if not piece:
                raise OSError(0, "it became shorter while it was read", path)
            left -= len(piece)
            yield piece
    if padding := -size % tarfile.BLOCKSIZE:
        yield bytes(padding)
