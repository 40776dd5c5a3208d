"""A Compose file's text into manifests, together with the files beside it, which who calls reads.

What people use at home is translated, and what is not is an error that names key and line; nothing is
ignored silently but `version`, `x-…` keys (except `x-atek`) and the name under which a build would be tagged.

Such a service is to work as it does with Compose, so it is not as shut in as other containers here: it
writes to its root, has Docker's default capabilities, the image's own user and home, a way out to other
machines, and meets the others of its file by their names (and container_names) on a network of theirs. Ports
are published on all addresses unless one is written. What stays: no program gains privileges that it was
not started with, and limits hold.

- What overrides it, by the names that Compose knows, is merged into it (`merging`).
- Ids are the services' names, after the project's (`ids`): `name: wiki`, or a folder of that name, makes
  `wiki-db`. The network and the volumes belong to the project, and volumes outlive it.
- Each service is recreated when it changes, never rolled: two of them never write to one volume.
- `${VAR}` is looked up in the `.env` beside the file, never in the node's environment. One that is nowhere
  and has no default is empty, and a warning.
- Folders of this machine have to be listed under `binds` in the config's [docker], like everybody's.
- It may call no API, since it was written for none, unless `x-atek: {allow: […]}` at the service grants some.
  Newer images it takes with `autoUpdate` there.
- The service's first TCP port (`ports`, else `expose`) is the one that its host name leads to. Without a
  health
  check it is ready once it runs, whether or not anything listens there.
"""

from __future__ import annotations

import posixpath
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from manifests.compose.env_file import read_raw, read_variables
from manifests.compose.fields import HINTS, TRANSLATORS, capabilities, own_words, read_env_files
from manifests.compose.ids import Names, name_services
from manifests.compose.marks import refuse_marks, reveal, sealed_variables
from manifests.compose.merging import TAGS, Layer, Merged
from manifests.compose.mounts import together
from manifests.compose.names import OVERRIDES, is_override
from manifests.compose.shared import Shared
from manifests.compose.translation import Translation
from manifests.compose.values import Invalid, only, table, text
from manifests.compose.variables import Unusable, interpolate
from manifests.documents.document import BrokenText
from manifests.documents.explain import explain, format_path
from manifests.documents.text import read_tagged
from manifests.model.expansion import literal
from manifests.model.manifest import Manifest, unbuilt
from manifests.model.snapshot import KEPT_ID, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.compose.around import Around, ReadFile
    from manifests.compose.variables import Missed
    from manifests.documents.document import Path

#: Seconds that a service has to become healthy: the first start of a database may take a while.
_DEADLINE = 600.0
_TOP = ("version", "name", "services", "volumes", "networks", "secrets", "configs")
#: The manifest's key → the Compose key that it came from, where they differ.
_WRITTEN = {
    "env": "environment", "source": "build", "publish": "ports", "port": "ports", "readOnly": "read_only",
    "dependsOn": "depends_on", "probes": "healthcheck", "resources": "deploy", "replicas": "scale",
    "capabilities": "cap_add", "isolation": "runtime", "pull": "pull_policy", "stop": "stop_signal",
    "allow": "x-atek", "autoUpdate": "x-atek",
}  # fmt: skip


def read_compose(
    source: str, file: str, folder: str, read: ReadFile, around: Around
) -> tuple[tuple[Manifest, ...], tuple[Problem, ...]]:
    """See the room's own."""
    project = _Project(folder, read, around)
    project.translate(file, source)
    project.tell_missed()
    return ((), tuple(project.problems)) if project.problems else (tuple(project.manifests), ())


class _Project:
    """One file on its way, and what overrides it."""

    def __init__(self, folder: str, read: ReadFile, around: Around) -> None:
        self.manifests: list[Manifest] = []
        self.problems: list[Problem] = []
        self._around = around
        #: Variables without a value, and the file that has the first reference to each.
        self._missed: dict[str, str] = {}
        self._folder = folder
        self._read = read
        self._merged = Merged(())
        self._variables: dict[str, str] = {}
        self._names = Names("", {}, (), "")

    def translate(self, file: str, source: str) -> None:
        layers = [*self._layers(file, source), *self._overriding()]
        if self.problems:
            return
        # Each mistake is told of the document that has it, also before they are one.
        self._merged = Merged(layers[:1])
        try:
            self._variables = self._dot_env()
            self._merge(layers)
            whole = self._merged.value
            self._top(whole)
            services = table(whole.get("services"), ("services",))
            if not services:
                raise Invalid(
                    ("services",), "the file declares no service", "delete the file to remove its services"
                )
            self._name_services(whole, services)
            volumes = self._volumes(whole.get("volumes"))
            shared = Shared(whole, self._variables)
        except Invalid as error:
            self._refuse(error)
            return
        found = [self._service(name, value, volumes, shared) for name, value in services.items()]
        asked_for_health = {
            name for each in found if each for name, (how, _) in each.dependencies.items() if how == "ready"
        }
        for each in filter(None, found):
            self._finish(each, needs_health=each.name in asked_for_health)

    def _layers(self, file: str, source: str) -> list[Layer]:
        """The documents of one file; what is wrong with it as a whole becomes a problem."""
        try:
            documents = [each for each in read_tagged(source, TAGS) if each.value is not None]
        except BrokenText as error:
            self.problems.append(Problem(error.message, file, error.line, error.key, error.hint))
            return []
        if not documents or not all(isinstance(each.value, dict) for each in documents):
            message = "a Compose file is one table of keys and values"
            self.problems.append(Problem(message, file, hint="services: …"))
            return []
        return [Layer(file, each.value, each.line_of, each.tags) for each in documents]

    def _overriding(self) -> list[Layer]:
        for name in OVERRIDES:
            file = posixpath.join(self._folder, name)
            try:
                source = self._read(file)
            except BrokenText as error:
                self.problems.append(Problem(error.message, file, error.line, error.key, error.hint))
                return []
            if source is not None and is_override(file, source):
                return self._layers(file, source)
        return []

    def _merge(self, layers: list[Layer]) -> None:
        """Variables are put in before, as Compose does. Raises Invalid."""
        interpolated: list[Layer] = []
        for layer in layers:
            self._merged = Merged([layer])
            layer.check()
            value = interpolate(table(layer.value, ()), self._variables, (), self._hear(layer.file))
            interpolated.append(replace(layer, value=value))
        self._merged = Merged(interpolated)

    def _refuse(self, error: Invalid, service: str = "") -> None:
        file, line = self._merged.place(error.path)
        self.problems.append(Problem(error.message, file, line, format_path(error.path), error.hint, service))

    def _dot_env(self) -> dict[str, str]:
        found = self._env_file(".env", (), required=False)
        return {name: value for name, value in found.items() if value is not None}

    def _env_file(
        self,
        name: str,
        path: Path,
        *,
        required: bool,
        raw: bool = False,
        own: Mapping[str, str] = MappingProxyType({}),
        earlier: Mapping[str, str] = MappingProxyType({}),
    ) -> Mapping[str, str | None]:
        where = posixpath.normpath(posixpath.join(self._folder, name))
        try:
            written = self._read(where)
            if written is None:
                if required:
                    raise Invalid(path, f"there is no file {where}", "create it, or write required: false")
                return {}
            if (sealed := sealed_variables(name, written)) is not None:
                return sealed
            if raw:
                return read_raw(written)
            before = {**own, **self._variables}
            return read_variables(written, before, earlier=earlier, missed=self._hear(where))
        except (BrokenText, Unusable) as error:
            raise Invalid(path, f"{where}: {error.message}", error.hint) from error

    def _hear(self, file: str) -> Missed:
        def hear(name: str) -> None:
            self._missed.setdefault(name, file)

        return hear

    def tell_missed(self) -> None:
        """Compose goes on with nothing in their place, and says so."""
        for name, file in self._missed.items():
            message = f"the variable {name} has no value: it is empty wherever the file has it"
            hint = f"add {name}=… to the .env beside the file"
            self._around.warn(Problem(message, file, hint=hint, reason="UnsetVariable"))

    def _top(self, whole: dict[str, Any]) -> None:
        for key in whole:
            if key not in _TOP:
                hint = HINTS.get(key, f"supported here: {', '.join(_TOP)}")
                raise Invalid((key,), "is not supported", hint)
        networks = only(whole.get("networks"), ("networks",), "default")
        only(networks.get("default"), ("networks", "default"))

    def _volumes(self, value: Any) -> frozenset[str]:
        volumes = table(value, ("volumes",))
        for name, item in volumes.items():
            only(item, ("volumes", name))
        return frozenset(volumes)

    def _name_services(self, whole: Mapping[str, Any], services: Mapping[str, Any]) -> None:
        name = whole.get("name")
        self._names = name_services(
            services.keys(),
            None if name is None else text(name, ("name",)),
            self._variables.get("COMPOSE_PROJECT_NAME"),
            posixpath.basename(self._folder),
            self._around.kept,
            self._around.root,
        )
        for each in self._names.kept:
            message = f"it keeps an earlier version's id; new services of its file are {self._names.prefix}-…"
            self._around.warn(Problem(message, service=each, reason=KEPT_ID))

    def _service(self, name: str, value: Any, volumes: frozenset[str], shared: Shared) -> Translation | None:
        path: Path = ("services", name)
        manifest = {"update": {"strategy": "recreate", "healthyDeadline": _DEADLINE}}
        of = Translation(
            name,
            self._folder,
            self._env_file,
            self._variables,
            shared,
            volumes,
            self._around.home,
            dict[str, Any](manifest),
        )
        before = len(self.problems)
        try:
            keys = table(value, path)
            of.manifest |= own_words((value or {}).get("x-atek"), (*path, "x-atek"))
        except Invalid as error:
            self._refuse(error, self._names.ids[name])
            return None
        for key, item in keys.items():
            try:
                if key not in TRANSLATORS:
                    raise Invalid((*path, key), "is not supported", HINTS.get(key, "leave it out"))
                TRANSLATORS[key](of, item, (*path, key))
            except Invalid as error:
                self._refuse(error, self._names.ids[name])
        try:
            read_env_files(of)
        except Invalid as error:
            self._refuse(error, self._names.ids[name])
        for where, why in of.ignored:
            file, line = self._merged.place(where)
            self._around.warn(Problem(why, file, line, format_path(where), reason="Ignored"))
        return of if len(self.problems) == before else None

    def _finish(self, of: Translation, *, needs_health: bool) -> None:
        path: Path = ("services", of.name)
        manifest = of.manifest
        network = manifest.get("network", "bridge")
        if "source" in manifest:
            manifest.pop("image", None)
        if of.exposed and network != "none":
            manifest.setdefault("port", of.exposed[0])
        if not of.checked and not needs_health:
            # All that Compose knows of it is that it runs: it may listen late, on another port, or
            # nowhere. The
            # image's own health check counts where somebody waits for it.
            manifest["probes"] = {"readiness": "none"}
        manifest |= {
            "id": self._names.ids[of.name],
            "runtime": "docker",
            "readOnly": manifest.get("readOnly", False),
            "capabilities": capabilities(of),
            "project": self._project(of),
        }
        manifest.setdefault("restart", {"policy": "never"})
        if network == "bridge":
            manifest["egress"] = True
        try:
            env, secret = reveal(of.from_files | manifest.get("env", {}), (*path, "environment"))
            manifest["env"] = env
            if of.secrets or secret:
                manifest["secrets"] = together(secret, of.secrets)
            manifest["dependsOn"] = [self._dependency(name, *how) for name, how in of.dependencies.items()]
            self._validate(manifest, path)
        except Invalid as error:
            self._refuse(error, self._names.ids[of.name])

    def _project(self, of: Translation) -> dict[str, Any]:
        found = {"name": self._names.project, "aliases": sorted({of.name, *of.aliases})}
        return found | {key: item for key, item in (("health", of.health), ("engine", of.engine)) if item}

    def _dependency(self, name: str, condition: str, path: Path) -> dict[str, str]:
        if name not in self._names.ids:
            raise Invalid(path, f"there is no service {name} in this file")
        return {"id": self._names.ids[name], "condition": condition}

    def _validate(self, manifest: dict[str, Any], path: Path) -> None:
        refuse_marks({key: item for key, item in manifest.items() if key != "secrets"}, path)
        if features := " and ".join(unbuilt(manifest).values()):
            raise Invalid((*path, "build"), f"it is for {features}, which this version does not have yet")
        if "image" not in manifest and "source" not in manifest:
            raise Invalid(path, "a service needs an image or a build")
        try:
            self.manifests.append(literal(Manifest.model_validate(manifest)))
        except ValidationError as error:
            service = manifest["id"]
            for found in explain(error, Manifest, manifest, line_of=lambda _: None, service=service):
                key = found.key.partition(".")[0].partition("[")[0]
                here = (*path, _WRITTEN.get(key, key)) if key else path
                self._refuse(Invalid(here, found.message, found.hint), service)
