"""What each key of a Compose service becomes in a manifest. Pure.

A translator gets the key's value and path, and adds to the manifest. Keys without one are refused.
"""

from __future__ import annotations

from signal import Signals
from typing import TYPE_CHECKING, Any

from manifests.compose.engine_keys import ENGINE
from manifests.compose.mounts import mount
from manifests.compose.ports import expose, ports
from manifests.compose.values import (
    Invalid,
    boolean,
    duration,
    integer,
    items,
    limit,
    number,
    only,
    pairs,
    size,
    table,
    text,
    words,
)
from manifests.compose.volumes import volumes
from manifests.model.containers import DEFAULT_CAPABILITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from manifests.compose.translation import Translation
    from manifests.documents.document import Path


def capabilities(of: Translation) -> list[str]:
    """Docker's default, with what the file adds and without what it drops; what is added always counts."""
    base = [] if "ALL" in of.capabilities_dropped else list(DEFAULT_CAPABILITIES)
    kept = [each for each in base if each not in of.capabilities_dropped]
    return sorted({*kept, *of.capabilities_added})


def own_words(value: Any, path: Path) -> dict[str, Any]:
    """What `x-atek` says of a manifest: `{allow: [example.com/tags], autoUpdate: {image: ^1}}`.

    It grants APIs, without it none.
    """
    said = only(value, path, "allow", "autoUpdate")
    found: dict[str, Any] = {
        "allow": [text(item, here) for item, here in items(said.get("allow", []), (*path, "allow"))]
    }
    if rule := table(said.get("autoUpdate"), (*path, "autoUpdate")):
        found["autoUpdate"] = rule
    return found


def _build(of: Translation, value: Any, path: Path) -> None:
    if isinstance(value, dict):
        written = only(value, path, "context", "dockerfile", "args", "target")
        build = {key: text(written[key], (*path, key)) for key in ("dockerfile", "target") if key in written}
        arguments = dict(_build_arguments(of, written.get("args"), (*path, "args")))
        if build or arguments:
            of.manifest["build"] = {**build, "args": arguments}
        value, path = written.get("context", "."), (*path, "context")
    of.manifest["source"] = text(value, path)


def _build_arguments(of: Translation, value: Any, path: Path) -> Iterator[tuple[str, str]]:
    """One without a value has that of the .env file, or none at all, as with Compose."""
    for name, given, _ in pairs(value, path):
        found = of.variables.get(name) if given is None else given
        if found is not None:
            yield name, found


def _command(key: str) -> Callable[[Translation, Any, Path], None]:
    def translate(of: Translation, value: Any, path: Path) -> None:
        if value is None:
            return
        found = words(value, path)
        if not found and key == "command":
            # The engine takes an empty one for none.
            return
        # A manifest puts variables of the service into its command, which Compose does not.
        of.manifest[key] = [word.replace("$", "$$") for word in found]

    return translate


def _environment(of: Translation, value: Any, path: Path) -> None:
    env = of.manifest.setdefault("env", {})
    for name, given, _ in pairs(value, path):
        found = of.variables.get(name) if given is None else given
        if found is None:
            of.without_value.add(name)
        else:
            env[name] = found


def _env_file(of: Translation, value: Any, path: Path) -> None:
    of.env_files = list(items(value, path))


def read_env_files(of: Translation) -> None:
    """Once the service's own environment is known, which its files may refer to. Raises Invalid."""
    own = of.manifest.get("env", {})
    for item, here in of.env_files:
        required, raw = True, False
        if isinstance(item, dict):
            entry = only(item, here, "path", "required", "format")
            required = boolean(entry.get("required", True), (*here, "required"))
            raw = _is_raw(entry.get("format"), (*here, "format"))
            item = entry.get("path")
        name = text(item, here)
        read = of.read_env(name, here, required=required, raw=raw, own=own, earlier=of.from_files)
        for name, given in read.items():
            found = of.variables.get(name) if given is None else given
            if found is not None:
                of.from_files[name] = found
    for name in of.without_value:
        # What has no value anywhere is not there, whatever a file says.
        of.from_files.pop(name, None)


def _is_raw(value: Any, path: Path) -> bool:
    if value in (None, "raw"):
        return value is not None
    raise Invalid(path, "is not supported", "raw, or none")


def _depends_on(of: Translation, value: Any, path: Path) -> None:
    if not isinstance(value, dict):
        for item, here in items(value, path):
            of.dependencies[text(item, here)] = ("started", here)
        return
    for name, item in value.items():
        here = (*path, str(name))
        entry = only(item, here, "condition", "required", "restart")
        if not boolean(entry.get("required", True), here):
            raise Invalid((*here, "required"), "a dependency that may be missing is not supported")
        if boolean(entry.get("restart", False), here):
            raise Invalid(
                (*here, "restart"), "a service is not restarted with another one here", "leave it out"
            )
        match entry.get("condition", "service_started"):
            case "service_started":
                condition = "started"
            case "service_healthy":
                condition = "ready"
            case "service_completed_successfully":
                condition = "completed"
            case other:
                hint = "service_started, service_healthy or service_completed_successfully"
                raise Invalid((*here, "condition"), f"{other} is not supported", hint)
        of.dependencies[str(name)] = (condition, here)


def _healthcheck(of: Translation, value: Any, path: Path) -> None:
    check = only(value, path, "test", "interval", "timeout", "retries", "start_period", "disable")
    command = _test(check.get("test"), (*path, "test"))
    if boolean(check.get("disable", False), (*path, "disable")) or command == []:
        of.manifest["probes"] = {"readiness": "none"}
        of.checked = True
        return
    if command is None:
        of.health = _times(check, path)
        return
    interval = duration(check.get("interval", "30s"), (*path, "interval")) or 30.0
    retries = integer(check.get("retries", 3), (*path, "retries")) or 3
    probe = {
        "exec": {"command": command},
        "periodSeconds": interval,
        "timeoutSeconds": duration(check.get("timeout", "30s"), (*path, "timeout")) or 30.0,
        "failureThreshold": retries,
    }
    of.manifest["probes"] = {"readiness": probe}
    started = duration(check.get("start_period", "0s"), (*path, "start_period"))
    of.manifest["update"]["healthyDeadline"] = max(
        of.manifest["update"]["healthyDeadline"], started + interval * (retries + 1)
    )
    of.checked = True


def _times(check: dict[str, Any], path: Path) -> dict[str, Any]:
    """Of the image's own check, where the file has no other."""
    read = {"interval": duration, "timeout": duration, "start_period": duration, "retries": integer}
    names = {"start_period": "startPeriod"}
    given = {key: read[key](check[key], (*path, key)) for key in read if check.get(key) is not None}
    return {names.get(key, key): value for key, value in given.items() if value}


def _test(value: Any, path: Path) -> list[str] | None:
    """The command; empty for none at all, None when nothing is said."""
    if value is None or value == []:
        return None
    if not isinstance(value, list):
        return ["/bin/sh", "-c", text(value, path)]
    match words(value, path):
        case ["NONE"]:
            return []
        case ["CMD", *command] if command:
            return command
        case ["CMD-SHELL", *line] if line:
            return ["/bin/sh", "-c", *line]
    raise Invalid(path, "begins with CMD, CMD-SHELL or NONE", 'like ["CMD-SHELL", "curl -f localhost"]')


def _restart(of: Translation, value: Any, path: Path) -> None:
    match None if value is False else text("" if value is None else value, path).partition(":"):
        case ("no" | "", "", ""):
            policy = "never"
        case ("always" | "unless-stopped", "", ""):
            policy = "always"
        case ("on-failure", _, tries) if not tries or tries.isdecimal():
            # However often it has failed, it is tried again, after longer and longer pauses.
            policy = "onFailure"
        case _:
            raise Invalid(path, "is not supported", "no, always, unless-stopped or on-failure")
    of.manifest["restart"] = {"policy": policy}


def _deploy(of: Translation, value: Any, path: Path) -> None:
    deploy = only(value, path, "resources", "replicas")
    if "replicas" in deploy:
        _replicas(of, deploy["replicas"], (*path, "replicas"))
    here = (*path, "resources")
    resources = only(deploy.get("resources"), here, "limits", "reservations")
    if (reserved := resources.get("reservations")) is not None:
        # Devices among them are for a container, not for a scheduler.
        only(reserved, (*here, "reservations"), "memory", "cpus", "pids")
        of.ignored.append(
            ((*here, "reservations"), "nothing is reserved: there is one machine, and no scheduler")
        )
    limits = only(resources.get("limits"), (*here, "limits"), "memory", "cpus", "pids")
    for key, written in limits.items():
        _LIMITS[key](of, written, (*here, "limits", key))


def _limit(key: str, read: Callable[[Any, Path], Any]) -> Callable[[Translation, Any, Path], None]:
    def translate(of: Translation, value: Any, path: Path) -> None:
        found = read(value, path)
        of.said_once(key, found, path)
        # 0 is Compose's word for no limit.
        if found:
            of.manifest.setdefault("resources", {})[key] = found

    return translate


_LIMITS = {"memory": _limit("memory", size), "cpus": _limit("cpu", number), "pids": _limit("pids", limit)}


def _replicas(of: Translation, value: Any, path: Path) -> None:
    found = integer(value, path)
    of.said_once("replicas", found, path)
    of.manifest["replicas"] = found


def _labels(of: Translation, value: Any, path: Path) -> None:
    of.manifest["labels"] = {name: given or "" for name, given, _ in pairs(value, path)}


def _networks(of: Translation, value: Any, path: Path) -> None:
    names = (
        value if isinstance(value, dict) else {text(item, here): None for item, here in items(value, path)}
    )
    for name, item in names.items():
        if name != "default":
            here = (*path, str(name))
            raise Invalid(here, "only the network default is supported", "all services share it")
        for alias, here in items(only(item, (*path, name), "aliases").get("aliases", []), path):
            of.aliases.append(text(alias, here))


def _network_mode(of: Translation, value: Any, path: Path) -> None:
    if value not in ("host", "none", "bridge"):
        raise Invalid(path, "is not supported", "host, none or bridge")
    of.manifest["network"] = value


def _capabilities(of_list: str) -> Callable[[Translation, Any, Path], None]:
    def translate(of: Translation, value: Any, path: Path) -> None:
        for item, here in items(value, path):
            name = text(item, here).upper().removeprefix("CAP_")
            if name == "ALL" and of_list == "capabilities_added":
                raise Invalid(here, "every capability has to be named")
            getattr(of, of_list).append(name)

    return translate


def _security_opt(of: Translation, value: Any, path: Path) -> None:
    for item, here in items(value, path):
        if text(item, here) not in ("no-new-privileges:true", "no-new-privileges=true", "no-new-privileges"):
            raise Invalid(here, "is not supported", "no-new-privileges holds always")


def _pull_policy(of: Translation, value: Any, path: Path) -> None:
    known = {
        "always": "always",
        "never": "never",
        "missing": "ifNotPresent",
        "if_not_present": "ifNotPresent",
    }
    if (found := known.get(text(value, path))) is None:
        raise Invalid(path, "is not supported", f"one of {', '.join(known)}")
    of.manifest["pull"] = found


def _put(key: str, read: Callable[[Any, Path], Any]) -> Callable[[Translation, Any, Path], None]:
    def translate(of: Translation, value: Any, path: Path) -> None:
        of.manifest[key] = read(value, path)

    return translate


def _stop(key: str, read: Callable[[Any, Path], Any]) -> Callable[[Translation, Any, Path], None]:
    def translate(of: Translation, value: Any, path: Path) -> None:
        of.manifest.setdefault("stop", {})[key] = read(value, path)

    return translate


def _signal(value: Any, path: Path) -> str:
    """A name, or a number."""
    written = text(value, path)
    names = {str(int(each)): each.name for each in Signals}
    return names.get(written, written)


def _container_name(of: Translation, value: Any, path: Path) -> None:
    of.aliases.append(text(value, path))


TRANSLATORS: Mapping[str, Callable[[Translation, Any, Path], None]] = {
    "image": _put("image", text),
    "build": _build,
    "command": _command("command"),
    "entrypoint": _command("entrypoint"),
    "environment": _environment,
    "env_file": _env_file,
    "ports": ports,
    "expose": expose,
    "volumes": volumes,
    "depends_on": _depends_on,
    "healthcheck": _healthcheck,
    "restart": _restart,
    "deploy": _deploy,
    "mem_limit": _LIMITS["memory"],
    "cpus": _LIMITS["cpus"],
    "pids_limit": _LIMITS["pids"],
    "scale": _replicas,
    "labels": _labels,
    "container_name": _container_name,
    "networks": _networks,
    "network_mode": _network_mode,
    "cap_add": _capabilities("capabilities_added"),
    "cap_drop": _capabilities("capabilities_dropped"),
    "security_opt": _security_opt,
    "read_only": _put("readOnly", boolean),
    "user": _put("user", text),
    "runtime": _put("isolation", text),
    "pull_policy": _pull_policy,
    "secrets": mount("secrets"),
    "configs": mount("configs"),
    **ENGINE,
    "stop_signal": _stop("signal", _signal),
    "stop_grace_period": _stop("gracePeriod", duration),
}

#: What to do instead of keys that are refused.
HINTS = {
    "privileged": "name what it needs under cap_add",
    "devices": "devices of this machine are not given to containers",
    "links": "leave it out: services reach each other by name",
    "profiles": "leave the service out, or put it into a file of its own",
    "extends": "use YAML's anchors (&name, *name, <<)",
}
