"""What a swarm says of its tasks, and what follows from it for one of its services. Pure.

Machines of a swarm are believed about their own tasks, and about nothing else: where a machine is, its
managers say; and an address that means this machine is taken from none but this machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from runtimes.base import Copy, Endpoint, Exit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from manifests.model.manifest import Manifest

_ENDED = frozenset({"complete", "failed", "rejected", "shutdown", "orphaned", "remove"})
_WRONG = frozenset({"failed", "rejected", "orphaned"})
_LONGEST_WORDS = 200
_NOWHERE = "the swarm has no address, at which others could reach it, of"
_ADVERTISE = "say --advertise-addr with an address of its network when it joins the swarm"
_LAST_PORT = 65535
_SIGNALLED, _LAST_SIGNAL = 128, 64


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of the swarm. `address` is empty where nobody can be sent to; `up`: it answers."""

    name: str
    address: str
    up: bool


@dataclass(frozen=True, slots=True)
class Task:
    """One task. `wanted` and `state` are the swarm's words; `version` grows with every change of it."""

    id: str
    service: str
    slot: int
    machine: str
    wanted: str
    state: str
    words: str
    code: int | None
    port: int | None
    created: str

    @property
    def runs(self) -> bool:
        return self.state == "running" and self.wanted == "running"

    @property
    def ended(self) -> bool:
        return self.state in _ENDED


def read_machines(found: Iterable[Mapping[str, Any]]) -> dict[str, Machine]:
    """The answer to `GET /nodes`, by id."""
    return {str(each["ID"]): _machine(each) for each in found}


def read_tasks(found: Iterable[Mapping[str, Any]]) -> list[Task]:
    """The answer to `GET /tasks`."""
    return [_task(each) for each in found]


def copies(manifest: Manifest, tasks: Iterable[Task], machines: Mapping[str, Machine]) -> tuple[Copy, ...]:
    """The tasks that serve, in the order of their slots; with a port, those that requests can be sent to."""
    found = []
    for task in sorted(tasks, key=lambda task: (task.slot, task.id)):
        machine = machines.get(task.machine)
        if task.runs and machine is not None and machine.up:
            at = Endpoint(host=machine.address, port=task.port) if task.port and machine.address else None
            if at is not None or manifest.port is None:
                found.append(Copy(task.id[:12], machine.name, at))
    return tuple(found)


def lacking(
    manifest: Manifest, tasks: Sequence[Task], places: Sequence[Copy], machines: Mapping[str, Machine]
) -> str:
    """Why fewer tasks serve than should; empty when all do."""
    if len(places) >= manifest.replicas:
        return ""
    waiting = [task for task in tasks if not task.ended and not task.runs and task.wanted != "shutdown"]
    wrong = sorted((task for task in tasks if task.state in _WRONG), key=lambda task: task.created)
    away = {task.machine for task in tasks if task.state == "running" and not _is_up(task, machines)}
    why = [f"{machines[each].name} does not answer" for each in sorted(away) if each in machines]
    nowhere = {task.machine for task in tasks if task.runs and _is_nowhere(task, machines)}
    why += [f"{_NOWHERE} {machines[each].name} ({_ADVERTISE})" for each in sorted(nowhere)]
    why += [told(task, machines) for task in wrong[-1:]] + [task.words for task in waiting if task.words][:1]
    counted = f"{len(places)} of {manifest.replicas} tasks run and accept connections"
    return f"{counted}: {'; '.join(why)}" if why else counted


def failures(before: Iterable[Task], now: Iterable[Task], machines: Mapping[str, Machine]) -> list[str]:
    """What has gone wrong since the last look, a line for each task."""
    old = {task.id: task for task in before}
    lines = []
    for task in now:
        known = old.get(task.id)
        failed = task.state in _WRONG and (known is None or known.state not in _WRONG)
        left = known is not None and known.runs and not task.runs and not task.ended
        if failed or (left and not _is_up(task, machines)):
            lines.append(told(task, machines))
    return lines


def told(task: Task, machines: Mapping[str, Machine]) -> str:
    """A task that went wrong, for a person."""
    machine = machines.get(task.machine)
    where = f" on {machine.name}" if machine else ""
    if task.state in _WRONG:
        return f"task {task.slot}{where} {task.state}: {task.words}"
    return f"task {task.slot}{where}: the machine does not answer, the swarm starts another"


def end(manifest: Manifest, tasks: Sequence[Task]) -> Exit | None:
    """How a service that is not to be restarted has ended; None while anything of it may still run."""
    if manifest.restart.policy == "always" or not tasks:
        return None
    last = {task.slot: task for task in sorted(tasks, key=lambda task: task.created)}
    if len(last) < manifest.replicas or not all(task.ended for task in last.values()):
        return None
    wrong = [task for task in last.values() if task.state in _WRONG]
    if manifest.restart.policy == "onFailure" and wrong:
        return None
    return _exit(wrong[0].code or 1) if wrong else Exit(code=0)


def lingering(tasks: Iterable[Task], machines: Mapping[str, Machine]) -> bool:
    """Whether something of a removed service still runs where it can be waited for.

    A machine that is cut off is told when it is back, however long that takes.
    """
    return any(not task.ended and task.machine and _is_up(task, machines) for task in tasks)


def _exit(code: int) -> Exit:
    return Exit(signal=code - _SIGNALLED) if _SIGNALLED < code <= _SIGNALLED + _LAST_SIGNAL else Exit(code)


def _is_up(task: Task, machines: Mapping[str, Machine]) -> bool:
    machine = machines.get(task.machine)
    return machine is not None and machine.up


def _is_nowhere(task: Task, machines: Mapping[str, Machine]) -> bool:
    machine = machines.get(task.machine)
    return task.port is not None and machine is not None and not machine.address


def _machine(found: Mapping[str, Any]) -> Machine:
    status, description = found.get("Status") or {}, found.get("Description") or {}
    manager = str((found.get("ManagerStatus") or {}).get("Addr", "")).rpartition(":")[0].strip("[]")
    return Machine(
        name=_plain(str(description.get("Hostname") or found["ID"])),
        address=_address(str(status.get("Addr", ""))) or _address(manager),
        up=status.get("State") == "ready",
    )


def _address(text: str) -> str:
    """Empty for what is no address of another machine: a swarm of one may say 127.0.0.1 or 0.0.0.0."""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    return "" if address.is_loopback or address.is_unspecified or address.is_multicast else str(address)


def _task(found: Mapping[str, Any]) -> Task:
    status = found.get("Status") or {}
    container = status.get("ContainerStatus") or {}
    words = str(status.get("Err") or status.get("Message") or "")
    return Task(
        id=str(found["ID"]),
        service=str(found.get("ServiceID", "")),
        slot=int(found.get("Slot") or 0),
        machine=str(found.get("NodeID") or ""),
        wanted=str(found.get("DesiredState", "")),
        state=str(status.get("State", "")),
        words=_plain(words),
        code=container.get("ExitCode"),
        port=_port(status),
        created=str(found.get("CreatedAt", "")),
    )


def _plain(text: str) -> str:
    """Another machine's words, as a terminal may show them."""
    return "".join(character if character.isprintable() else " " for character in text[:_LONGEST_WORDS])


def _port(status: Mapping[str, Any]) -> int | None:
    ports = (status.get("PortStatus") or {}).get("Ports") or ()
    found = [int(each.get("PublishedPort") or 0) for each in ports if each.get("PublishMode") == "host"]
    return found[0] if found and 0 < found[0] <= _LAST_PORT else None
