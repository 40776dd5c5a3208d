"""Compose files that nobody has written, asked of docker-compose and of this code: do both mean the same?

By hand: `python -m tests.fuzz.compose DOCKER_COMPOSE [SECONDS] [SEED]`; each difference is printed with
its files.
What is taken here and refused there by a schema, or the other way round, is counted and not shown.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from tests.manifests.compose.reference import ask, ours
from tests.manifests.compose.value_cases import web

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

_BEFORE = "B=bee\nE=\nD=$B\n"


def _some(chance: Random, pieces: list[str], most: int) -> str:
    return "".join(chance.choice(pieces) for _ in range(chance.randint(1, most)))


_REFERENCES = [
    "$",
    "{",
    "}",
    "B",
    "C",
    "E",
    ":",
    "-",
    "+",
    "?",
    "x",
    "$$",
    "${B}",
    "${C:-",
    "${B:+",
    "${C-",
    " ",
    ".",
    "1",
]


def _interpolation(chance: Random) -> dict[str, str]:
    return web(f"environment: {{A: {json.dumps(_some(chance, _REFERENCES, 9))}}}", **{".env": _BEFORE})


_ENV = [
    "$", "${B}", "$B", "$C", "${C:-x}", "'", '"', "\\", "#", " ", "\t", " #", "\\n", "x", "y z", "=", ":",
    "$$", "(", ")",
    "\\$", "\x0b", "\x0c", "\u2028", "\u00a0", "é", "\\\\", "\\t", "1", "{", "}", "`", ";", "export ", ".",
    "-",
]  # fmt: skip
_NAMES = ["A", "A ", " A", "export A", "A.b", "A-b", "1A", "_", "export  A", "\tA"]


def _env_line(chance: Random) -> str:
    quote = chance.choice(["", "", "", "'", '"'])
    value = _some(chance, _ENV, 6)
    if quote and chance.random() < 0.8:
        value = f"{quote}{value.replace(quote, '')}{quote}{chance.choice(['', '', ' # c', ' '])}"
    return f"{chance.choice(_NAMES)}{chance.choice(['=', '=', '=', ' = ', '= ', ': ', ':', ''])}{value}"


def _env_file(chance: Random) -> dict[str, str]:
    lines = [_env_line(chance) for _ in range(chance.randint(1, 3))]
    end = chance.choice(["\n", "\r\n"])
    return {
        "compose.yaml": "services: {web: {image: app, env_file: app.env}}\n",
        "app.env": "".join(line + end for line in lines),
        ".env": _BEFORE,
    }


def _dot_env(chance: Random) -> dict[str, str]:
    return {
        "compose.yaml": 'services: {web: {image: app, environment: {A: "${A-unset}"}}}\n',
        ".env": f"B=bee\n{_env_line(chance)}\n",
    }


_WORDS = [
    "a",
    "b c",
    " ",
    "'",
    '"',
    "\\",
    ";",
    "|",
    ">",
    "<",
    "&",
    "(",
    ")",
    "`",
    "$$",
    "$$(",
    "1",
    "2>",
    "\t",
    "é",
    "=",
    "#",
]


def _command(chance: Random) -> dict[str, str]:
    return web(f"command: {json.dumps(_some(chance, _WORDS, 8))}")


def _number_of_a_port(chance: Random) -> str:
    return str(chance.choice([80, 81, 82, 84, 85, 0, 53]))


def _end_of_ports(chance: Random) -> str:
    return chance.choice(["", "", f"-{_number_of_a_port(chance)}"])


def _port(chance: Random) -> dict[str, str]:
    number = _number_of_a_port
    address = chance.choice(["", "", "", "127.0.0.1:", "0.0.0.0:", "[::1]:", ":", "10.0.0.300:", "x:"])
    host = chance.choice(["", f"{number(chance)}{_end_of_ports(chance)}:", ":", f"{number(chance)}:"])
    protocol = chance.choice(["", "", "/tcp", "/udp", "/UDP", "/sctp", "/x", "/"])
    one = json.dumps(f"{address}{host}{number(chance)}{_end_of_ports(chance)}{protocol}")
    published = chance.choice([number(chance), json.dumps(number(chance)), '""'])
    long = f"{{target: {number(chance)}, published: {published}}}"
    return web(f"ports: [{', '.join(chance.choice([one, one, long]) for _ in range(chance.randint(1, 2)))}]")


def _volume(chance: Random) -> dict[str, str]:
    source = chance.choice(["/", "./", "../", "~/", "", "/x/"]) + _some(
        chance, ["/", ".", "..", "a", "x/", "data"], 3
    )
    target = chance.choice(["/t", "/t/", "/t/../u", "/", "/t/./u", "//t", "/t/."])
    mode = chance.choice(["", "", ":ro", ":rw", ":ro,z", ":nocopy", ":Z", ":cached", ":rslave"])
    one = json.dumps(f"{source}:{target}{mode}")
    kind = chance.choice(["bind", "volume"])
    long = f"{{type: {kind}, source: {json.dumps(source)}, target: {json.dumps(target)}}}"
    found = web(f"volumes: [{chance.choice([one, long])}]")
    found["compose.yaml"] += "" if "\nvolumes: {data" in found["compose.yaml"] else "volumes: {data: , a: }\n"
    return found


_SCALARS = [
    "1",
    "0",
    ".",
    "e",
    "+",
    "-",
    "_",
    "x",
    "o",
    "b",
    "9",
    "5",
    "true",
    "no",
    "~",
    "inf",
    "nan",
    ":",
    "F",
    "E",
]


def _number(chance: Random) -> dict[str, str]:
    return web(f"environment:\n  A: {_some(chance, _SCALARS, 5)}")


def _amount(chance: Random) -> dict[str, str]:
    value = json.dumps(
        _some(
            chance, ["1", "5", ".", "0", "m", "g", "k", "b", "i", "B", "G", "s", "h", "ms", "us", " ", "d"], 4
        )
    )
    return web(f"{chance.choice(['mem_limit', 'stop_grace_period'])}: {value}")


KINDS: dict[str, Callable[[Random], dict[str, str]]] = {
    "interpolation": _interpolation, "env file": _env_file, ".env": _dot_env, "command": _command,
    "port": _port,
    "volume": _volume, "number": _number, "amount": _amount,
}  # fmt: skip


def fuzz(program: str, seconds: float, seed: int) -> int:
    """How many differences were found."""
    chance, until, tried, found = random.Random(seed), time.monotonic() + seconds, 0, 0
    strict: Counter[str] = Counter()
    kinds = [kind for kind in KINDS if kind in sys.argv] or list(KINDS)
    while time.monotonic() < until:
        kind = chance.choice(kinds)
        files = KINDS[kind](chance)
        theirs, (mine, problems) = ask(program, files), ours(files)
        tried += 1
        if (theirs is None) != (mine is None):
            strict[f"{kind}, {'taken' if mine else 'refused'} here"] = (
                strict.get(f"{kind}, {'taken' if mine else 'refused'} here", 0) + 1
            )
            if "-v" in sys.argv:
                print(kind, files, theirs, mine, *problems, sep="\n  ", flush=True)
        elif theirs != mine:
            found += 1
            print(kind, files, theirs, mine, sep="\n  ", flush=True)
    print(f"{tried} files, {found} differences; {dict(strict)}")
    return found


if __name__ == "__main__":
    numbers = [each for each in sys.argv[2:] if each.isdecimal()]
    sys.exit(
        bool(fuzz(sys.argv[1], float(numbers[0]) if numbers else 60.0, int(numbers[1]) if numbers[1:] else 1))
    )
