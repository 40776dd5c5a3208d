"""Where the tools run that install and build a package: on this machine as they are, or shut in.

What others wrote runs as soon as it is installed: npm's hooks, the back ends of PEP 517, whatever a build
script says. So the tools of a service that is to run in a strict sandbox run in one, too:

    sees     the system, the tools, the copy of its package, a cache of the service's own; no home, no secrets
    reaches  the registries of this machine (`registries`) and the service's `egress`, by the node
    lasts    until its deadline, with limits; nothing that it leaves behind lives on

Where services have users, tools of all others run as one that only builds (`builders`).

A registry's answer is not kept in the cache of everybody: a hook could put there what others install.
"""

from __future__ import annotations

import itertools
import os
import resource
import shutil
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from runtimes.base import RuntimeFailure
from runtimes.network.inside import layout
from runtimes.network.rules import Refusal, Rules, rules_of
from runtimes.packages.builders import BuildersWorkshop
from runtimes.packages.registries import Registries, npm_registries, python_registries
from runtimes.packages.tools import OpenWorkshop
from runtimes.packages.uv import uv_settings
from runtimes.processes.children import TABLE
from runtimes.sandbox.command import Held, View, is_below, words
from runtimes.sandbox.confinement import confinement_of
from runtimes.sandbox.gate import Gate
from runtimes.sandbox.holding import Hold
from runtimes.sandbox.machine import Machine, find_system
from runtimes.sandbox.places import folders_of_interpreter
from runtimes.sandbox.seccomp import filter_for
from runtimes.sandbox.troubles import UNAVAILABLE
from runtimes.users.ways import BUILDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from manifests.model.service import Service
    from runtimes.network.networks import Networks
    from runtimes.packages.node_versions import NodeTools
    from runtimes.packages.tools import Workshop
    from runtimes.paths import Paths
    from runtimes.users.service_users import ServiceUsers

#: Seconds that one tool may take.
DEADLINE = 30 * 60.0
#: What a process of a build may have: seconds of computing, bytes of a file, open files, processes beside it
#: (which the kernel does not count for root); no core dumps.
LIMITS = {
    resource.RLIMIT_CPU: int(DEADLINE),
    resource.RLIMIT_FSIZE: 8 << 30,
    resource.RLIMIT_NOFILE: 65536,
    resource.RLIMIT_NPROC: 4096,
    resource.RLIMIT_CORE: 0,
}
#: Below the cache of the node's packages: a folder for each service whose tools are shut in.
FOREIGN = "foreign"
_TMP = "/tmp"


class Workshops:
    """Those of one node."""

    def __init__(self, paths: Paths, networks: Networks, machine: Machine, users: ServiceUsers) -> None:
        self._paths = paths
        self._users = users
        self._networks = networks
        self._machine = machine
        self._numbers = itertools.count()
        self._npm: Registries | None = None
        self._python: Registries | None = None

    def of(self, service: Service) -> Workshop:
        """The one that this service's manifest asks for. Raises RuntimeFailure or OSError."""
        if confinement_of(service).level == "strict":
            return StrictWorkshop(self, service, self._folder(service.id))
        try:
            builder = self._users.builder(service)
        except OSError as error:
            why = f"{error.strerror or error}: {error.filename or ''}"
            raise RuntimeFailure(
                "PrepareFailed", f"the user that builds {service.id} cannot be had: {why}"
            ) from error
        if builder is not None:
            return BuildersWorkshop(self._paths, self._users, service, builder)
        return OpenWorkshop(self._paths.cache)

    def _folder(self, service_id: str) -> Path:
        return self._paths.cache / FOREIGN / service_id

    async def forget(self, service_id: str) -> None:
        """There is no such service any more."""
        for folder in (self._folder(service_id), self._paths.cache / BUILDS / service_id):
            await anyio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))

    async def registries(self, runtime: str, node: Callable[[], NodeTools]) -> Registries:
        """Of this kind of package. Looked up once in a node's life."""
        self._paths.cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        if runtime == "node":
            if self._npm is None:
                self._npm = await npm_registries(await anyio.to_thread.run_sync(node), self._paths.cache)
            return self._npm
        if self._python is None:
            settings = await anyio.to_thread.run_sync(uv_settings)
            self._python = python_registries(settings, os.environ)
        return self._python

    async def bwrap(self) -> str:
        """Raises RuntimeFailure where this machine cannot shut anything in."""
        facts = await anyio.to_thread.run_sync(self._machine.facts)
        if (trouble := facts.strict) is not None:
            message = f"what others wrote is built in a strict sandbox only: {trouble.message}"
            raise RuntimeFailure(UNAVAILABLE, message, hint=trouble.hint or "atek doctor says more")
        return facts.bwrap

    async def connect(self, pid: int, rules: Rules, refused: Callable[[Refusal], None]) -> Callable[[], None]:
        """A way out for the sandbox of that process; what is returned ends it. Raises OSError."""
        name = f"tools {next(self._numbers)}"
        await self._networks.open_for_tools(name, pid, rules, refused)
        return lambda: self._networks.close(name)


class StrictWorkshop:
    """Implements `Workshop`: shut in."""

    def __init__(self, shops: Workshops, service: Service, cache: Path) -> None:
        self.cache = cache
        self.inherited = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
        self.refused: list[Refusal] = []
        self._shops = shops
        self._service = service

    async def execute(
        self,
        tool: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        on_output: Callable[[bytes], None],
        on_errors: Callable[[bytes], None] | None = None,
    ) -> int:
        from runtimes.packages.node_versions import find_node

        bwrap = await self._shops.bwrap()
        registries = await self._shops.registries(self._service.runtime, find_node)
        manifest = self._service.manifest
        rules = Rules((*registries.rules, *rules_of(manifest.destinations).rules))
        self.refused = []
        env = self._environment(environment, registries, rules)
        await anyio.to_thread.run_sync(self._make_folders)
        with ExitStack() as opened:
            hold = Hold(opened)
            gate = Gate()
            opened.callback(gate.close)
            view = self._view(tool, cwd, env, registries, rules, hold)
            filter = filter_for("strict", os.uname().machine)
            seccomp = None if filter is None else hold.text("seccomp", filter)
            line = [bwrap, *words(view, seccomp=seccomp, status=None), *gate.words, "--die-with-parent"]
            inherited = [*_descriptors(view), *([seccomp] if seccomp else []), *gate.inherited]
            shut_in = _ShutIn(self._shops, rules, self.refused.append, gate)
            return await shut_in.run(
                [*line, "--", *tool],
                env,
                inherited,
                on_output,
                on_errors,
            )

    def _environment(
        self, environment: Mapping[str, str], registries: Registries, rules: Rules
    ) -> dict[str, str]:
        """Its own variables, and of the machine's where the registries are."""
        own = self._service.manifest.env
        found = {name: value for name, value in registries.variables.items() if name not in own}
        kept = {name: value for name, value in environment.items() if name not in registries.variables}
        kept |= {name: environment[name] for name in own if name in environment}
        return {
            **kept, **found, **layout(rules).environment,
            "HOME": _TMP, "TMPDIR": _TMP, "GIT_TERMINAL_PROMPT": "0", "npm_config_globalconfig": "/dev/null",
        }  # fmt: skip

    def _make_folders(self) -> None:
        """A new /tmp for each tool: what one left there is no business of the next."""
        shutil.rmtree(self.cache / "tmp", ignore_errors=True)
        (self.cache / "tmp").mkdir(mode=0o700, parents=True)

    def _view(
        self,
        line: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        registries: Registries,
        rules: Rules,
        hold: Hold,
    ) -> View:
        system = find_system()
        return View(
            "strict", os.fspath(cwd), [hold.folder(cwd), hold.folder(self.cache)],
            programs=[*registries.shown, *_tools(line, environment, cwd)],
            temporary=Held(hold.folder(self.cache / "tmp").descriptor, _TMP),
            texts=hold.texts(system.copied, hold.files(layout(rules).files)),
            system=system,
        )  # fmt: skip


class _ShutIn:
    """One run of a tool: it waits until it is limited and has its network, and ends in time."""

    def __init__(
        self, shops: Workshops, rules: Rules, refused: Callable[[Refusal], None], gate: Gate
    ) -> None:
        self._shops = shops
        self._rules = rules
        self._refused = refused
        self._gate = gate
        self._failure: RuntimeFailure | None = None

    async def run(
        self,
        line: Sequence[str],
        environment: Mapping[str, str],
        inherited: Sequence[int],
        on_output: Callable[[bytes], None],
        on_errors: Callable[[bytes], None] | None,
    ) -> int:
        code = -1
        with anyio.move_on_after(DEADLINE) as clock:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._connect, tasks.cancel_scope)
                code = await TABLE.execute(
                    line, env=environment, inherited=inherited,
                    on_output=on_output, on_errors=on_errors, on_start=lambda _: self._gate.started(),
                )  # fmt: skip
                tasks.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure
        if clock.cancelled_caught:
            minutes = int(DEADLINE // 60)
            raise RuntimeFailure("BuildTooLong", f"it was ended, since it took longer than {minutes} minutes")
        return code

    async def _connect(self, scope: anyio.CancelScope) -> None:
        """Until cancelled. Whatever fails here, the tool does not run without it."""
        try:
            first = await self._gate.first_process()
            # All that it forks later inherits these.
            _limit(first)
            close = await self._shops.connect(first, self._rules, self._refused)
        except OSError as error:
            why = error.strerror or str(error)
            self._failure = RuntimeFailure(UNAVAILABLE, f"a sandbox for it has no network: {why}")
            scope.cancel()
            return
        try:
            self._gate.open()
            await anyio.sleep_forever()
        finally:
            close()


def _descriptors(view: View) -> list[int]:
    held = [*view.own, *view.texts, *([view.temporary] if view.temporary else [])]
    return [each.descriptor for each in held]


def _limit(pid: int) -> None:
    for kind, most in LIMITS.items():
        with suppress(OSError, ValueError):
            _, hard = resource.prlimit(pid, kind)
            bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.prlimit(pid, kind, (bound, bound))


def _tools(line: Sequence[str], environment: Mapping[str, str], cwd: Path) -> list[str]:
    """What runs a tool, wherever that lies on this machine: programs on its PATH, and what they need."""
    found: list[str] = []
    for word in line:
        if word.startswith("/") and os.path.isfile(word):
            real = os.path.realpath(word)
            found += [os.path.dirname(word), *folders_of_interpreter(real)]
    for folder in environment.get("PATH", "").split(os.pathsep):
        real = os.path.realpath(folder)
        if os.path.isabs(folder) and os.path.isdir(real) and not is_below(real, [os.path.realpath(cwd)]):
            found += [folder, *folders_of_interpreter(f"{real}/program")]
    system = ("/", "/usr", "/bin", "/sbin")
    kept = (path for path in dict.fromkeys(found) if path not in system and not path.startswith("/usr/"))
    return [path for path in kept if os.path.isdir(path)]
