"""Secrets, configs and encrypted env files of a Compose file: where they go, and where their text is not."""

from __future__ import annotations

from typing import Any

import pytest

from manifests.compose import read_compose
from tests.manifests.sops.sealed import sealed

FOLDER = "/srv/home"
_SEALED = sealed("dotenv", "DB_PASSWORD=hunter2\nEMPTY=\nUSER_unencrypted=alice\nDOLLAR=a$b\n").decode()
_BESIDE = {
    "plain": {".env": "DB_PASSWORD=hunter2\nTAG=1\n"},
    "sealed": {".env": _SEALED, "more.env": sealed("dotenv", "DB_PASSWORD=other\nMORE=x\n").decode()},
}


def read(text: str, beside: str = "plain") -> dict[str, dict[str, Any]]:
    files = {f"{FOLDER}/{name}": each for name, each in _BESIDE[beside].items()}
    manifests, problems = read_compose(f"name: web\n{text}", f"{FOLDER}/compose.yaml", FOLDER, files.get)
    assert problems == ()
    return {each.id: each.model_dump(mode="json", by_alias=True, exclude_defaults=True) for each in manifests}


def refused(text: str, beside: str = "sealed") -> tuple[str, str]:
    files = {f"{FOLDER}/{name}": each for name, each in _BESIDE[beside].items()}
    _, (problem,) = read_compose(text, f"{FOLDER}/compose.yaml", FOLDER, files.get)
    return problem.key, problem.message


def test_where_secrets_and_configs_are_inside() -> None:
    found = read("""
services:
  web:
    image: app
    secrets:
      - password
      - {source: password, target: other, uid: "103", gid: 103, mode: 0440}
      - {source: token, target: /etc/token}
    configs: [motd, {source: site, target: /etc/site.conf, mode: 288}]
secrets:
  password: {file: ./db.yaml}
  token: {environment: DB_PASSWORD}
configs:
  motd: {content: "hello $${NAME} ${TAG}\\n"}
  site: {file: site.conf}
""")["web"]["secrets"]
    assert found == {
        "password": {"file": "./db.yaml", "as": "file", "target": "/run/secrets/password"},
        "password.2": {
            "file": "./db.yaml", "as": "file", "target": "/run/secrets/other",
            "uid": 103, "gid": 103, "mode": "0440",
        },
        "token": {"file": ".env", "key": "DB_PASSWORD", "as": "file", "target": "/etc/token"},
        "motd": {"text": "hello ${NAME} 1\n", "as": "file", "target": "/motd"},
        "site": {"file": "site.conf", "as": "file", "target": "/etc/site.conf", "mode": "0440"},
    }  # fmt: skip


def test_variables_of_an_encrypted_file_are_found_when_an_instance_starts() -> None:
    web = read(
        """
services:
  web:
    image: app
    env_file: [.env, more.env]
    environment:
      URL: postgres://u:${DB_PASSWORD}@db/$$x
      DB_PASSWORD: ${DB_PASSWORD}
      USER: ${USER_unencrypted:-nobody}
      NOTHING: ${EMPTY:-default}
    secrets: [DB_PASSWORD]
    configs: [conf]
secrets: {DB_PASSWORD: {file: x}}
configs: {conf: {content: "password=${DB_PASSWORD}"}}
""",
        "sealed",
    )["web"]
    assert web["env"] == {"NOTHING": "default", "EMPTY": ""}
    assert web["secrets"] == {
        "URL": {"file": ".env", "text": "postgres://u:${DB_PASSWORD}@db/$$x"},
        "DB_PASSWORD": {"file": ".env", "key": "DB_PASSWORD"},
        "USER": {"file": ".env", "key": "USER_unencrypted"},
        "USER_unencrypted": {"file": ".env", "key": "USER_unencrypted"},
        "DOLLAR": {"file": ".env", "key": "DOLLAR"},
        "MORE": {"file": "more.env", "key": "MORE"},
        "DB_PASSWORD.2": {"file": "x", "as": "file", "target": "/run/secrets/DB_PASSWORD"},
        "conf": {"file": ".env", "text": "password=${DB_PASSWORD}", "as": "file", "target": "/conf"},
    }
    assert "hunter2" not in str(web)


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ("command: [run, '${DB_PASSWORD}']", "services.web.command"),
        ("labels: {a: '${DB_PASSWORD}'}", "services.web.labels.a"),
        ("links: [x]", "services.web.links"),
        ("build: {context: ., args: {A: '${DB_PASSWORD}'}}", "services.web.build.args.A"),
        ("ports: ['${DB_PASSWORD}:80']", "services.web.ports[0]"),
    ],
)
def test_they_come_out_where_nobody_looks_or_not_at_all(keys: str, path: str) -> None:
    found, message = refused(f"services:\n  web:\n    image: app\n    {keys}\n")
    assert found == path
    assert "hunter2" not in message and "\ufdd0" not in message


def test_several_encrypted_files_cannot_be_in_one_value() -> None:
    key, message = refused("""
services:
  web:
    image: app
    env_file: [.env, more.env]
    environment: {BOTH: "${DB_PASSWORD}${DB_PASSWORD}"}
""".replace("${DB_PASSWORD}${DB_PASSWORD}", "${DB_PASSWORD} \ufdd0more.env\ufdd1MORE\ufdd2"))  # fmt: skip
    assert (key, "several encrypted files" in message) == ("services.web.environment.BOTH", True)


def test_a_service_without_them_has_the_manifest_that_it_had() -> None:
    assert "secrets" not in read("services: {web: {image: app, environment: {A: '${TAG}'}}}")["web"]
