"""What Compose files say is what docker-compose 2.40 makes of them, as it was recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.manifests.compose.reference import ANSWERS, ours
from tests.manifests.compose.value_cases import CASES

_RECORDED: dict[str, Any] = json.loads(ANSWERS.read_text())["answers"]
#: Taken here, and refused by docker-compose's schema or its reader of env files.
TAKEN = {
    "env_file 'A=\"x\" y # z'", "env_file 'A=\"a\"b\"c\"'", ".env 'A=\"x\" y # z'", ".env 'A=\"a\"b\"c\"'",
    "environment '2001-01-01'", "volumes {source: data, target: /y}", "limits.memory 512",
    "limits.memory 1e9",
    "limits.memory 0", "limits.memory -1", "limits.memory 1.5", "stop_grace_period 0", "restart empty",
    "command numbers", "user number", "depends_on empty table", "depends_on null",
}  # fmt: skip
#: Refused here: what nobody can have meant, or no container can have.
REFUSED = {
    "env_file '=x'", ".env '=x'", "volumes d:/d", "volumes data:d", "volumes /a:/b:bad",
    "volumes {type: tmpfs, target: /x}", "stop_grace_period -5s", 'healthcheck {test: ["CMD"]}',
    "environment names listed", "key with variable", "no services",
}  # fmt: skip
#: Numbers that begin with a nought are the text that they are, since most are modes of files.
ANOTHER = {"environment '010'": {"web": {"image": "app", "environment": {"A": "010"}}}}


def test_every_case_is_recorded() -> None:
    assert _RECORDED.keys() == CASES.keys()
    assert CASES.keys() > TAKEN | REFUSED | ANOTHER.keys()


@pytest.mark.parametrize("name", CASES)
def test_it_means_what_compose_means(name: str) -> None:
    found, problems = ours(CASES[name])
    if name in TAKEN:
        assert _RECORDED[name] is None and found, problems
    elif name in REFUSED:
        assert _RECORDED[name] is not None and found is None
    else:
        assert found == ANOTHER.get(name, _RECORDED[name]), problems
