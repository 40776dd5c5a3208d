"""Manifests that nobody would write: the whole model, each key with what may stand there and what may not.

What would harm the machine that tests run on is not made: programs are harmless ones, packages small folders,
images and repositories such as nobody has.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from manifests.model.base import DNS_LABEL
from manifests.model.manifest import Manifest

if TYPE_CHECKING:
    from random import Random

TEXTS = (
    "", " ", "a", "a b", "\0", "a\0b", "\ud800", "\udfff", "\x1b[2J", "\u202e", "\u2028", "a\nb", "\t",
    "..", "../..", "-rf", "--help", "$PORT", "${", "$$", "$ATEK_NONE", "${ATEK_HOST_BEARER_TOKEN}", "%s%n",
    "{0}", "é" * 300, "x" * 300, "x" * 5000, "x" * 140_000, "1.10", "0x1F", "null", "true", "~", "NaN",
    "\U0001f600", "a\u200db", "[", "{{}}", "<script>", "core.hyper", "steady", "ATEK_X", "__proto__", "*",
    "/", "//", "a" * 63, "a" * 64,
)  # fmt: skip
NUMBERS: tuple[Any, ...] = (
    0, 1, -1, 2, 3, 80, 65535, 65536, 2**31, 2**53, 2**63, 2**64, 10**30, 10**400, -(10**30), 0.5, -0.5,
    1e-300, 1e300, 0.001, 1e18, "1s", "10m", "9d", "1e9d", "256Mi", "9" * 400 + "Gi", "1Pi", "inf",
    "-inf", "nan",
)  # fmt: skip
OTHERS: tuple[Any, ...] = (
    None,
    True,
    False,
    [],
    {},
    [[]],
    [None],
    {"": ""},
    {"a": {"b": {"c": []}}},
    [{}] * 50,
)

_PROGRAMS = (
    ["true"],
    ["false"],
    ["sleep", "1000"],
    ["no-such-program"],
    ["/dev/null"],
    ["true", "$PORT"],
    ["/"],
)
_SOURCES = (
    "/nonexistent", "/dev/null", "./missing", "file:///nonexistent", "/nonexistent/x.git", "~nobody/x",
    "file:///nonexistent/x.git#main:folder", "hyper://" + "0" * 64 + "?version=1",
)  # fmt: skip
_SAFE: dict[str, tuple[Any, ...]] = {
    "source": _SOURCES,
    "command": _PROGRAMS,
    "entrypoint": _PROGRAMS,
    "image": ("127.0.0.1:9/none:1", "1.10"),
    "version": ("^1", ">=1 <2", "latest", "*"),
    "placement": ("local",),
    "suspend": (True, False),
    # What is for other nodes is told of by nobody here.
    "nodes": (["fuzzed"],),
}
_DEEPEST = 6


#: What has ended programs before: each of them is tried in every run.
WORST: tuple[dict[str, Any], ...] = (
    *({"source": text} for text in ("a\0b", "\ud800", "a\0b.git", "x" * 140_000, "file:///\ud800", "a\nb")),
    *({key: "a\0\ud800"} for key in ("image", "user", "isolation", "runtime", "network", "port", "sandbox")),
    *({"env": {key: value}} for key, value in (("A", "\0"), ("A", "\ud800"), ("\ud800", ""), ("A\0", ""))),
    *({"command": ["true", word]} for word in ("\0", "\udfff", "x" * 140_000)),
    *({"resources": {"memory": size}} for size in (10**30, 10**400, "9" * 400 + "Gi", float("nan"))),
    *({"resources": {"cpu": cores}} for cores in ("nan", "inf", 1e-300, 10**400)),
    *({"restart": {"maxDelay": wait, "initialDelay": wait}} for wait in (10**400, "9" * 400 + "d", 1e300)),
    *({"stop": {"gracePeriod": wait}} for wait in (10**400, float("inf"))),
    {"probes": {"liveness": {"exec": {"command": ["\0"]}, "periodSeconds": 1e-300}}},
    {"probes": {"readiness": {"httpGet": "/\0", "timeoutSeconds": "nan", "failureThreshold": 10**30}}},
    {"dependsOn": [{"id": "\ud800"}]},
    {"dependsOn": [{"id": f"x{index}"} for index in range(5000)]},
    {"replicas": 10**400},
    {"exports": [{"api": "\ud800", "path": "\0"}]},
    {"\ud800\0": 1, "x" * 10_000: {}},
    {"labels": {"a\0": "\ud800"}, "image": "x"},
)


def worst(service_id: str, number: int) -> dict[str, Any]:
    return {"id": service_id, "command": ["true"], **WORST[number % len(WORST)]}


def document(random: Random, service_id: str) -> dict[str, Any]:
    """One manifest; most are right but for one or two keys, so that each mistake gets far."""
    value: dict[str, Any] = {"id": service_id, "command": random.choice(_PROGRAMS)}
    value |= {"probes": {"readiness": "none"}}
    names = [name for name in Manifest.model_fields if name != "id"]
    hostility = random.choice((0.0, 0.1, 0.5))
    for name in random.sample(names, random.choice((0, 1, 1, 2, 2, 3, 8))):
        value[to_camel(name)] = _of(name, Manifest.model_fields[name].annotation, random, hostility, 0)
    if random.random() < 0.1:
        value[random.choice(TEXTS)[:200]] = _hostile(random)
    if random.random() < 0.05:
        # None that is one: what it is told by would be hard to say.
        value["id"] = random.choice([each for each in (*TEXTS, *OTHERS) if not _is_id(each)])
    return value


def _is_id(value: Any) -> bool:
    labels = str(value).lower().split(".") if isinstance(value, (str, bool)) else [""]
    return all(DNS_LABEL.fullmatch(label) for label in labels)


def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def _hostile(random: Random) -> Any:
    return random.choice((*TEXTS, *NUMBERS, *OTHERS, deep(random.choice((5, 45, 60, 200)))))


def _of(name: str, annotation: Any, random: Random, hostility: float, depth: int) -> Any:
    if random.random() < hostility or depth > _DEEPEST:
        return _harmless(name, _hostile(random))
    if name in _SAFE:
        return random.choice(_SAFE[name])
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _of(name, parts[0], random, hostility, depth)
    if origin in (Union, types.UnionType):
        return _of(name, random.choice(parts), random, hostility, depth)
    if origin is Literal:
        return random.choice(parts)
    if origin in (tuple, list):
        return [_of("", parts[0], random, hostility, depth + 1) for _ in range(random.randrange(4))]
    if origin is dict:
        key = [
            random.choice(TEXTS)[:100] if random.random() < hostility else f"K{index}" for index in range(3)
        ]
        return {each: _of("", parts[1], random, hostility, depth + 1) for each in key[: random.randrange(4)]}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = list(annotation.model_fields.items())
        chosen = random.sample(fields, random.randrange(len(fields) + 1))
        return {
            field.alias or each: _of(each, field.annotation, random, hostility, depth + 1)
            for each, field in chosen
        }
    return random.choice({str: TEXTS, bool: (True, False)}.get(annotation, NUMBERS))


def _harmless(name: str, value: Any) -> Any:
    """A package that is a whole disk, or a program that a text happens to name, is not what is tested."""
    if name == "source" and isinstance(value, str) and value.strip("./ ") == "":
        return "/nonexistent"
    if name in ("command", "entrypoint") and isinstance(value, list):
        return []
    return value
