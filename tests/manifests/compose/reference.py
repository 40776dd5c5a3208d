"""What docker-compose makes of a Compose file, and what is made of it here, in one form to compare.

The recorded answers are `answers.json`; where docker-compose 2.40 is installed (Debian's package has no
need of an
engine for this), they are recorded anew by `python -m tests.manifests.compose.reference DOCKER_COMPOSE`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.compose import Around, read_compose
from manifests.model.containers import parse_published, parse_volume

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.model.manifest import Manifest
    from manifests.model.snapshot import Problem

ANSWERS = Path(__file__).parent / "answers.json"
FOLDER, HOME = "/srv/home", "/home/me"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|h|m|s)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

#: Service → key → value; None for a file that is refused.
Meaning = dict[str, dict[str, Any]]


def ask(program: str, files: Mapping[str, str]) -> Meaning | None:
    """What docker-compose says of these files, of which one is `compose.yaml`."""
    with tempfile.TemporaryDirectory() as above:
        folder = f"{above}{FOLDER}"
        for name, text in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        answer = subprocess.run(
            [program, "config", "--format", "json"],
            cwd=folder, capture_output=True, env={"HOME": HOME, "PATH": "/bin"}, check=False, timeout=60,
        )  # fmt: skip
        if answer.returncode:
            return None
        found = json.loads(answer.stdout.decode().replace(os.path.realpath(above), ""))
    return {name: _theirs(_unescaped(each)) for name, each in found["services"].items()}


def ours(files: Mapping[str, str]) -> tuple[Meaning | None, tuple[Problem, ...]]:
    """The same of what is made of them here, and what is wrong with them."""
    beside = {f"{FOLDER}/{name}": text for name, text in files.items()}
    file = f"{FOLDER}/compose.yaml"
    manifests, problems = read_compose(files["compose.yaml"], file, FOLDER, beside.get, Around(home=HOME))
    ids = {each.id: _name(each) for each in manifests}
    found = {_name(each): _ours(each, ids) for each in manifests}
    return (found if manifests else None), problems


def _name(manifest: Manifest) -> str:
    assert manifest.project is not None
    return min(manifest.project.aliases, key=lambda alias: not manifest.id.endswith(alias.lower()))


def _unescaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("$$", "$")
    if isinstance(value, dict):
        return {key: _unescaped(each) for key, each in value.items()}
    return [_unescaped(each) for each in value] if isinstance(value, list) else value


def _theirs(said: dict[str, Any]) -> dict[str, Any]:
    deploy = said.get("deploy") or {}
    limits = deploy.get("resources", {}).get("limits", {})
    memory = int(said.get("mem_limit") or limits.get("memory") or 0)
    found = {
        "image": said.get("image"),
        "command": said.get("command"),
        "entrypoint": said.get("entrypoint"),
        "environment": {
            key: value for key, value in said.get("environment", {}).items() if value is not None
        },
        "ports": sorted({_their_port(each) for each in said.get("ports", ())}),
        "volumes": [_their_volume(each) for each in said.get("volumes", ())],
        "healthcheck": _their_check(said.get("healthcheck")),
        # There is no daemon here that is restarted without its services.
        "restart": _RESTARTS.get(said.get("restart") or "no", said.get("restart")),
        "memory": max(memory, 0),
        "cpus": float(said.get("cpus") or limits.get("cpus") or 0),
        "pids": max(int(said.get("pids_limit") or limits.get("pids") or 0), 0),
        "labels": said.get("labels", {}),
        "depends_on": {key: each["condition"] for key, each in said.get("depends_on", {}).items()},
        "user": said.get("user"),
        "stop_signal": _signal(said.get("stop_signal")),
        "stop_grace_period": _seconds(said.get("stop_grace_period")),
        "read_only": said.get("read_only", False),
        "replicas": deploy.get("replicas", said.get("scale", 1)),
    }
    return {key: value for key, value in found.items() if value not in (None, {}, [], 0, 1, False)}


_RESTARTS = {"no": None, "unless-stopped": "always"}


def _their_port(said: Mapping[str, Any]) -> str:
    published, protocol = said.get("published", ""), said.get("protocol", "tcp")
    # Port 0 is the engine's choice, as is none.
    published = "" if published == "0" else published
    return f"{said.get('host_ip', '*')} {published} {said.get('target')}/{protocol.lower()}"


def _signal(name: str | None) -> str | None:
    if name is not None and name.isdecimal():
        return signal.Signals(int(name)).name
    return name if name is None or name.startswith("SIG") else f"SIG{name}"


def _their_volume(said: Mapping[str, Any]) -> str:
    options = {"ro": said.get("read_only"), "nocopy": said.get("volume", {}).get("nocopy")}
    more = [name for name, there in options.items() if there]
    source = os.path.normpath(said["source"]) if said["type"] == "bind" else said.get("source", "")
    return " ".join([said["type"], source, said["target"].rstrip("/") or "/", *more])


def _their_check(said: Mapping[str, Any] | None) -> dict[str, Any] | str | None:
    if not said:
        return None
    test = said.get("test") or []
    if said.get("disable") or test == ["NONE"]:
        return None
    found = {
        "test": test[1:] if test[:1] == ["CMD"] else ["/bin/sh", "-c", *test[1:]] if test else None,
        "interval": _seconds(said.get("interval")) or (30.0 if test else None),
        "timeout": _seconds(said.get("timeout")) or (30.0 if test else None),
        "retries": said.get("retries") or (3 if test else None),
    }
    return {key: value for key, value in found.items() if value is not None} or None


def _seconds(said: str | None) -> float | None:
    if said is None:
        return None
    return round(sum(float(each[1]) * _SECONDS[each[2]] for each in _DURATION.finditer(said)), 9)


def _ours(manifest: Manifest, ids: Mapping[str, str]) -> dict[str, Any]:
    resources, restart = manifest.resources, manifest.restart
    found = {
        "image": manifest.image,
        "command": _words(manifest.command),
        "entrypoint": _words(manifest.entrypoint),
        "environment": manifest.env,
        "ports": sorted({_our_port(each) for each in manifest.publish}),
        "volumes": [_our_volume(each) for each in manifest.volumes],
        "healthcheck": _our_check(manifest),
        "restart": {"never": None, "always": "always", "onFailure": "on-failure"}[restart.policy],
        "memory": resources.memory,
        "cpus": resources.cpu,
        "pids": resources.pids,
        "labels": manifest.labels,
        "depends_on": {ids[each.id]: _CONDITIONS[each.condition] for each in manifest.depends_on},
        "user": manifest.user,
        "stop_signal": manifest.stop.signal if "signal" in manifest.stop.model_fields_set else None,
        "stop_grace_period": (
            manifest.stop.grace_period if "grace_period" in manifest.stop.model_fields_set else None
        ),
        "read_only": manifest.read_only,
        "replicas": manifest.replicas,
    }
    return {key: value for key, value in found.items() if value not in (None, {}, [], 0, 1, False)}


_CONDITIONS = {
    "started": "service_started",
    "ready": "service_healthy",
    "completed": "service_completed_successfully",
}


def _words(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else [word.replace("$$", "$") for word in words]


def _our_port(written: str) -> str:
    found = parse_published(written)
    address = "*" if found.every else found.address
    return f"{address} {found.host_ports} {found.container_port}/{found.protocol}"


def _our_volume(written: str) -> str:
    found = parse_volume(written)
    more = [*(["ro"] if found.read_only else []), *(["nocopy"] if "nocopy" in found.options else [])]
    # A volume without a name has one here, of its service and its place.
    source = "" if found.source.endswith(re.sub(r"[^A-Za-z0-9_.-]+", "-", found.target)) else found.source
    source = source if found.named else os.path.normpath(source)
    return " ".join(["volume" if found.named else "bind", source, found.target.rstrip("/") or "/", *more])


def _our_check(manifest: Manifest) -> dict[str, Any] | str | None:
    probe = manifest.probes.readiness
    if probe is None or isinstance(probe, str):
        assert manifest.project is not None
        health = manifest.project.health
        said = {} if health is None else health.model_dump(exclude_none=True, exclude={"start_period"})
        return said or None
    assert probe.exec is not None
    return {
        "test": list(probe.exec.command),
        "interval": probe.period_seconds,
        "timeout": probe.timeout_seconds,
        "retries": probe.failure_threshold,
    }


def record(program: str) -> None:
    """Writes `answers.json` anew."""
    from tests.manifests.compose.value_cases import CASES

    version = subprocess.run([program, "version", "--short"], capture_output=True, check=True, text=True)
    answers = {name: ask(program, files) for name, files in CASES.items()}
    said = {"version": version.stdout.strip(), "answers": answers}
    ANSWERS.write_text(json.dumps(said, indent=1, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    record(sys.argv[1])
