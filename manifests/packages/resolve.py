"""From a manifest to a service: finds the package, infers the runtime, and computes the revision."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from manifests.files import read_json
from manifests.model.git import is_git, parse_git
from manifests.model.service import SWARM, Package, Service, make_service
from manifests.model.spec import Export
from manifests.packages.digests import Digests, is_the_systems

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from manifests.model.git import GitPackage
    from manifests.model.manifest import Manifest
    from manifests.model.snapshot import Declared, SourceKind

_NODE_FILES = ("package.json", "index.js")
_PYTHON_FILES = ("requirements.txt", "pyproject.toml", "uv.lock", "main.py", "app.py", "__main__.py")
#: Whatever else lies in a folder with one of these, it is a Node or Python package.
PROGRAM_FILES = (*_NODE_FILES, *_PYTHON_FILES)
#: These say it only where there is no command: what has one ran as a process before anybody looked for them.
_PYTHON_TOO = (
    "setup.py", "setup.cfg", "pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock", "Pipfile", "pixi.lock",
    "conda-lock.yml",
)  # fmt: skip
DOCKERFILE = "Dockerfile"
_NODE_COMMAND = re.compile(r"(node|npm|npx)")
_PYTHON_COMMAND = re.compile(r"python[0-9.]*")


class ResolveError(Exception):
    """A manifest that is right by itself does not fit what is on the disk.

    `reason` is UpperCamelCase: SourceNotFound, SourceNotAFolder, SourceNotAPackage, SourceUnreadable or
    NoEntryPoint.
    """

    def __init__(self, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class Resolver:
    """Resolves manifests, remembering the contents of packages between calls."""

    def __init__(self) -> None:
        self._digests = Digests()

    def resolve(
        self,
        declared: Declared,
        source_name: str,
        generation: int = 0,
        *,
        secrets: str = "",
        check: Callable[[], None] = lambda: None,
    ) -> Service:
        """The service that a manifest describes, `secrets` being the digest of its own. Raises ResolveError.

        Reads what changed in the package, so it may take a while; `check` is called again and again
        meanwhile, and may raise what ends it.
        """
        manifest, package = declared.manifest, None
        exports = manifest.exports
        path = package_path(declared)
        if path is None:
            runtime = infer_runtime(manifest, None)
        else:
            manifest, runtime, package = self._look(manifest, path, check)
            exports = package_exports(path) if exports is None else exports
        return make_service(
            manifest,
            runtime=runtime,
            package=package,
            source=source_name,
            generation=generation,
            exports=exports or (),
            secrets=secrets,
        )

    def _look(
        self, manifest: Manifest, path: str, check: Callable[[], None]
    ) -> tuple[Manifest, str, Package]:
        """What the folder makes of a manifest, the runtime that both mean, and what is in the folder now."""
        try:
            _check_folder(path, manifest)
            runtime = infer_runtime(manifest, path)
            manifest = _for_runtime(manifest, runtime)
            in_place, native = manifest.run == "inPlace", runtime == "process"
            digest = self._digests.digest(path, code_only=in_place, executables=native, check=check)
        except OSError as error:
            where = error.filename or path
            message = f"the package of {manifest.id} cannot be read: {where}: {error.strerror}"
            raise ResolveError(
                "SourceUnreadable", message, "the node's user needs permission to read it"
            ) from error
        return manifest, runtime, Package(path, digest)

    def files(self, path: str) -> Mapping[str, bytes]:
        """What was in a package when it was last looked at: see `Digests.files`."""
        return self._digests.files(path)

    def forget(self, path: str) -> None:
        """Frees what is remembered of a package that no service uses any more."""
        self._digests.forget(path)


_resolver = Resolver()


def resolve(
    declared: Declared,
    source_name: str,
    generation: int = 0,
    *,
    secrets: str = "",
    check: Callable[[], None] = lambda: None,
) -> Service:
    """`Resolver.resolve` with a memory shared by the whole process."""
    return _resolver.resolve(declared, source_name, generation, secrets=secrets, check=check)


def files_of(path: str) -> Mapping[str, bytes]:
    """What `resolve` saw in a package last."""
    return _resolver.files(path)


def infer_runtime(manifest: Manifest, path: str | None) -> str:
    """The runtime that a manifest means with this package folder, or without any.

    Raises ResolveError when there is nothing that could be started, OSError when the folder cannot be listed.
    """
    if manifest.placement == "swarm":
        return SWARM
    if manifest.runtime is not None:
        return manifest.runtime
    if manifest.is_container:
        return "docker"
    return _of_command(manifest) if path is None else _infer(manifest, path)


def _for_runtime(manifest: Manifest, runtime: str) -> Manifest:
    """A container whose folder said that it is one is told apart from now on by its manifest alone."""
    if runtime == "docker" and manifest.run == "inPlace":
        message = f"{manifest.id} has a Dockerfile, and a container runs nowhere in place"
        raise ResolveError("NotInPlace", message, "remove run: inPlace, or say its runtime")
    if runtime == "docker" and manifest.runtime is None:
        return manifest.model_copy(update={"runtime": "docker"})
    key = manifest.container_key
    if runtime != "docker" and key is not None:
        message = f"{to_camel(key)} is for containers, and the package of {manifest.id} has no Dockerfile"
        raise ResolveError("NoDockerfile", message, f"add one, or remove {to_camel(key)} from the manifest")
    return manifest


def package_path(declared: Declared) -> str | None:
    """The absolute path of a manifest's package folder, existing or not; None when it has none here.

    What comes from Git is in no folder that its author named.
    """
    source = declared.manifest.source
    return None if source is None or is_git(source) else absolute_source(source, declared.base)


def secret_paths(declared: Declared, kind: SourceKind) -> dict[str, str]:
    """The absolute path of each file that the secrets name, by how they name it."""
    base = declared.base
    if kind in ("record", "follow"):
        # What a record says lies in its package.
        base = package_path(declared) or base
    names = {each.file for each in declared.manifest.secrets.values() if each.file is not None}
    return {name: os.path.normpath(os.path.join(base, os.path.expanduser(name))) for name in sorted(names)}


def absolute_source(source: str, base: str) -> str:
    """What `source:` means in a manifest of folder `base`, wherever it is read: a path, or a repository."""
    if (package := git_package(source, base)) is not None:
        return str(package)
    if source.startswith("file:"):
        source = unquote(re.sub(r"^file:(//(localhost)?(?=/))?", "", source))
    return _absolute(source, base)


def git_package(source: str | None, base: str) -> GitPackage | None:
    """The repository that `source:` means in a manifest of folder `base`; None when it means none."""
    if source is None or not is_git(source):
        return None
    package = parse_git(source)
    return replace(package, url=_absolute(package.url, base)) if package.is_local else package


def _absolute(path: str, base: str) -> str:
    return os.path.normpath(os.path.join(base, os.path.expanduser(path)))


def read_atek_json(path: str) -> dict[str, Any]:
    """A package's own atek.json; empty where it is missing, broken or no object, because it is optional."""
    try:
        value = read_json(os.path.join(path, "atek.json"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def package_exports(path: str) -> tuple[Export, ...]:
    """What a package's atek.json says that it exports; what is not right there is left out."""
    exports = read_atek_json(path).get("exports")
    found = []
    for value in exports if isinstance(exports, list) else ():
        try:
            found.append(Export.model_validate({"api": value} if isinstance(value, str) else value))
        except ValidationError:
            continue
    return tuple(found)


def _check_folder(path: str, manifest: Manifest) -> None:
    if os.path.isdir(path):
        if is_the_systems(path):
            message = f"the source of {manifest.id}, {path}, is the system's and no package"
            raise ResolveError("SourceNotAPackage", message, "write the folder that the program is in")
        return
    if os.path.exists(path):
        message = f"the source of {manifest.id}, {path}, is a file"
        raise ResolveError("SourceNotAFolder", message, "write the folder that the program is in")
    message = f"the package folder of {manifest.id}, {path}, does not exist"
    raise ResolveError("SourceNotFound", message, "create it, or change source: in the manifest")


def _infer(manifest: Manifest, path: str) -> str:
    """The runtime by what lies in the package, then by the command."""
    names = {entry.name for entry in os.scandir(path)}
    if not names.isdisjoint(_NODE_FILES):
        return "node"
    if not names.isdisjoint(_PYTHON_FILES):
        return "python"
    if DOCKERFILE in names:
        return "docker"
    if manifest.command:
        return _of_command(manifest)
    if python_file(path):
        return "python"
    message = f"the package of {manifest.id}, {path}, has no program that this node knows how to start"
    hint = "it needs an index.js, a package.json, a main.py or a Dockerfile; or a command: in the manifest"
    raise ResolveError("NoEntryPoint", message, hint)


def python_file(path: str) -> str:
    """A file of a folder that only Python's tools write; empty where there is none."""
    names = (*_PYTHON_FILES, *_PYTHON_TOO)
    return next((name for name in names if os.path.isfile(os.path.join(path, name))), "")


def _of_command(manifest: Manifest) -> str:
    program = PurePath(manifest.command[0]).name if manifest.command else ""
    if _NODE_COMMAND.fullmatch(program):
        return "node"
    return "python" if _PYTHON_COMMAND.fullmatch(program) else "process"
