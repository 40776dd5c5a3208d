"""A service: a manifest whose package has been looked at, and so has a revision.

The revision is a digest of everything a running instance depends on. Equal revisions: nothing to do.
Probes, restart and update policies, exports, replicas, dependencies, `suspend`, and how much of the disk and
of its log it may have are not part of it; they apply to a running instance at once; but for what a swarm was
told of them, because it acts on it itself.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from manifests.model.containers import as_in_revisions
from manifests.model.expansion import expands
from manifests.model.manifest import Manifest
from manifests.model.spec import CONTAINER_KEYS, Export, Spec

REVISION_LENGTH = 12
#: Keys that containers of earlier versions did not have; left out, they leave a revision as it was.
_NEWER_KEYS = {"entrypoint", "labels", "project", "build"}
#: The runtime of containers that the engine's swarm places.
SWARM = "swarm"


@dataclass(frozen=True, slots=True)
class Package:
    """A folder with a program: where it is, and the digest of what is in it."""

    path: str
    digest: str


@dataclass(frozen=True, slots=True)
class Service:
    """What the planner converges. `generation` counts a person's restarts; 0 until the first.

    `exports` are the manifest's, or else those of the package's atek.json.
    """

    manifest: Manifest
    runtime: str
    revision: str
    package: Package | None = None
    source: str = ""
    generation: int = 0
    exports: tuple[Export, ...] = ()
    #: A digest of the secrets in plain text, under a key of the node's; empty without any.
    secrets: str = ""

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def in_place(self) -> bool:
        """Whether it runs in the very folder that its author works in."""
        return self.package is not None and self.manifest.run == "inPlace"

    def to_json(self) -> dict[str, Any]:
        """A plain value that `from_json` reads back, for records on disk and labels."""
        package = self.package and {"path": self.package.path, "digest": self.package.digest}
        return {
            "manifest": self.manifest.model_dump(mode="json", by_alias=True, exclude_defaults=True),
            "runtime": self.runtime,
            "revision": self.revision,
            "package": package,
            "source": self.source,
            "generation": self.generation,
            "exports": [export.model_dump(mode="json", by_alias=True) for export in self.exports],
            **({"secrets": self.secrets} if self.secrets else {}),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Service:
        """Raises ValueError, KeyError or TypeError when the value is not one that `to_json` made."""
        package = value["package"]
        return cls(
            manifest=_recorded(value["manifest"]),
            runtime=value["runtime"],
            revision=value["revision"],
            package=Package(package["path"], package["digest"]) if package else None,
            source=value["source"],
            generation=value["generation"],
            exports=tuple(Export.model_validate(export) for export in value.get("exports", ())),
            secrets=str(value.get("secrets", "")),
        )


def _recorded(value: dict[str, Any]) -> Manifest:
    """Of a service that was once declared: what runs of it is known by its revision.

    An earlier version had wider bounds; what is out of bounds today is left out, and what does not belong
    together today runs on as it is.
    """
    try:
        return Manifest.model_validate(value)
    except ValidationError as error:
        wrong = {detail["loc"][0] for detail in error.errors(include_url=False) if detail["loc"]}
        spec = Spec.model_validate({key: item for key, item in value.items() if key not in wrong})
        found = {name: getattr(spec, name) for name in type(spec).model_fields}
        return Manifest.model_construct(spec.model_fields_set, **found)


def make_service(
    manifest: Manifest,
    *,
    runtime: str,
    package: Package | None,
    source: str,
    generation: int = 0,
    exports: tuple[Export, ...] = (),
    secrets: str = "",
) -> Service:
    """Joins a manifest with its package and computes the revision. `secrets`: see `Service`."""
    depends_on: list[Any] = [
        runtime,
        package.digest if package else None,
        manifest.command,
        manifest.port,
        manifest.env,
        manifest.resources.given_to_instances(),
        manifest.sandbox or "none",
        generation,
    ]
    if expands(manifest.env) and not manifest.literal_env:
        depends_on.append({"env": "expanded"})
    # Only where it is said, so that a service which never said it keeps its revision.
    depends_on += [{"run": manifest.run}] if manifest.run != "copy" else []
    depends_on += [{"runAs": manifest.run_as}] if manifest.run_as is not None else []
    if manifest.binds or manifest.destinations:
        depends_on.append({"binds": manifest.binds, "egress": manifest.destinations})
    if runtime in ("docker", SWARM):
        container = {key: getattr(manifest, key) for key in CONTAINER_KEYS if key not in _NEWER_KEYS}
        depends_on.append(container | {"publish": as_in_revisions(manifest.publish)})
        depends_on += (
            [newer] if (newer := manifest.model_dump(include=_NEWER_KEYS, exclude_defaults=True)) else []
        )
    depends_on += [{"secrets": secrets}] if secrets else []
    if runtime == SWARM:
        nodes = [str(each) for each in manifest.nodes or ()]
        depends_on += [manifest.replicas, *nodes, _told_of_restarts(manifest), manifest.stop.model_dump()]
    return Service(manifest, runtime, digest(depends_on), package, source, generation, exports, secrets)


def _told_of_restarts(manifest: Manifest) -> dict[str, Any]:
    """What a swarm is told; the rate is the node's own business."""
    return manifest.restart.model_dump(exclude={"per_minute"})


def digest(value: object) -> str:
    """A short digest of a JSON value, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:REVISION_LENGTH]
