"""The manifests in a commit: which files count, and that one thing wrong with them is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from manifests.model.git_source import GitSource
from manifests.model.nodes import Place
from reconciler.gitops.reading import read_folder
from tests.manifests.sops.sealed import sealed

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.gitops.reading import Reading

COMMAND = "command: [sleep, '1']\n"
COMPOSE = "name: web\nservices:\n  web:\n    image: nginx:1.27\n    env_file: web.env\n"


def read(folder: Path, files: dict[str, str], **values: Any) -> Reading:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    source = GitSource.model_validate({"name": "home", "url": "/srv/home.git", **values})
    return read_folder(str(folder), source, Place("pi", frozenset({"kitchen"})), trees=folder / "trees")


def ids(reading: Reading) -> list[str]:
    assert reading.problems == ()
    return sorted(each.manifest.id for each in reading.services)


def test_folders_below_count_but_for_packages_and_what_lies_around_a_compose_file(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {
            "a.yaml": f"id: a\n{COMMAND}---\nid: b\n{COMMAND}",
            "below/deeper/c.toml": 'id = "c"\ncommand = ["sleep", "1"]\n',
            "app.yaml": "id: app\nsource: ./app\n",
            "app/main.py": "",
            "app/settings.yaml": "level: [debug",
            "shop/compose.yaml": COMPOSE,
            "shop/web.env": "A=1\n",
            "shop/compose.override.yml": "services: {web: {environment: {B: two}}}\n",
            "shop/prometheus.yaml": "scrape_configs: []\n",
            "shop/config/x.yaml": "no: manifest\n",
            ".github/workflows/ci.yaml": "on: push\n",
            "README.md": "# Home\n",
        },
    )
    assert ids(found) == ["a", "app", "b", "c", "web"]
    assert {each.file for each in found.services} >= {"home:a.yaml", "home:below/deeper/c.toml"}
    web = next(each.manifest for each in found.services if each.manifest.id == "web")
    assert (web.env["A"], web.env["B"]) == ("1", "two")


def test_only_what_this_node_runs(tmp_path: Path) -> None:
    text = "id: {0}\n" + COMMAND + "nodes: [{1}]\n"
    files = {
        "a.yaml": text.format("a", "pi"),
        "b.yaml": text.format("b", "laptop"),
        "c.yaml": text.format("c", "{label: kitchen}"),
    }
    assert ids(read(tmp_path, files)) == ["a", "c"]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"b.yaml": "id: [\n"}, "home:b.yaml"),
        ({"below/b.yaml": "id: b\nporrt: 1\n"}, "home:below/b.yaml:2: porrt"),
        ({"b.yaml": f"id: a\n{COMMAND}"}, "a is in home:a.yaml too"),
        ({"below/compose.yaml": "services:\n  web:\n    imgae: nginx\n"}, "home:below/compose.yaml"),
    ],
)
def test_one_thing_wrong_and_nothing_counts(files: dict[str, str], told: str, tmp_path: Path) -> None:
    found = read(tmp_path, {"a.yaml": f"id: a\n{COMMAND}"} | files)
    assert found.services == ()
    assert told in str(found.problems[0])
    assert str(tmp_path) not in str(found.problems[0])


class TestForeign:
    """What a repository of somebody else's may be."""

    def read(self, folder: Path, files: dict[str, str], **policy: Any) -> Reading:
        return read(folder, files, trust="foreign", policy=policy)

    def test_its_own_packages(self, tmp_path: Path) -> None:
        files = {"m.yaml": "id: app\nsource: ./app\nresources: {memory: 1Gi}\n", "app/main.py": ""}
        found = self.read(tmp_path, files, memory="256Mi", apis=[])
        assert ids(found) == ["app"]
        manifest = found.services[0].manifest
        assert (manifest.runtime, manifest.resources.memory, manifest.allow) == ("python", 256 * 2**20, ())

    @pytest.mark.parametrize(
        ("manifest", "policy", "told"),
        [
            ("id: app\nsource: /etc\nruntime: python\n", {}, "no folder of the repository"),
            ("id: app\nsource: ../..\nruntime: python\n", {}, "no folder of the repository"),
            ("id: core.hyper\nsource: ./app\n", {}, "core.hyper is not allowed"),
            ("id: app\nsource: ./app\n", {"runtimes": ["node"]}, "the runtime python is not allowed"),
            ("id: app\nsource: ./app\n", {"ids": ["lab-*"]}, "of the id app is not allowed"),
            ("id: app\nimage: nginx\n", {}, "the runtime docker is not allowed"),
            (
                "id: app\nimage: nginx\nvolumes: ['/etc:/x']\n",
                {"runtimes": ["docker"], "grants": "refuse"},
                "may not read and change /etc",
            ),
            (
                "id: app\nimage: nginx\nvolumes: ['/run/docker.sock:/x']\n",
                {"runtimes": ["docker"]},
                "nobody else's service may have /run/docker.sock",
            ),
        ],
    )
    def test_nothing_of_this_machine(
        self, manifest: str, policy: dict[str, Any], told: str, tmp_path: Path
    ) -> None:
        found = self.read(tmp_path, {"m.yaml": manifest, "app/main.py": ""}, **policy)
        assert [each.reason for each in found.problems] == ["PolicyForbids"]
        assert told in str(found.problems[0])

    def test_no_file_of_this_machine_in_its_environment(self, tmp_path: Path) -> None:
        (tmp_path / "secret.env").write_text("A=mine\n")
        (tmp_path / "repository").mkdir()
        text = COMPOSE.replace("web.env", "../secret.env")
        found = self.read(tmp_path / "repository", {"compose.yaml": text})
        assert found.services == ()
        assert "is not in the same repository" in str(found.problems)
        # An owner's own may lie wherever he wants.
        assert ids(read(tmp_path / "repository", {})) == ["web"]


def test_what_overrides_a_compose_file_is_told_by_its_own_name(tmp_path: Path) -> None:
    files = {
        "compose.yaml": "name: web\nservices: {web: {image: a}}",
        "compose.override.yaml": "services:\n  web: {links: [a]}",
    }
    (problem,) = read(tmp_path / "a", files).problems
    assert (problem.file, problem.line, problem.key) == (
        "home:compose.override.yaml",
        2,
        "services.web.links",
    )
    (problem,) = read(tmp_path / "b", {f"shop/{name}": text for name, text in files.items()}).problems
    assert problem.file == "home:shop/compose.override.yaml"
    assert ids(read(tmp_path / "a", {"compose.override.yaml": "services: {web: {labels: [x]}}"})) == ["web"]


def test_a_compose_file_of_the_commit_itself_is_called_like_its_source(tmp_path: Path) -> None:
    """Not like the commit, with each of which its volumes would be others."""
    file = "services: {web: {image: a}}"
    (one,) = read(tmp_path / "a", {"compose.yaml": file}).services
    (below,) = read(tmp_path / "b", {"shop/compose.yaml": file}).services
    assert one.manifest.project is not None and below.manifest.project is not None
    assert (one.manifest.id, one.manifest.project.name) == ("home-web", "home")
    assert (below.manifest.id, below.manifest.project.name) == ("shop-web", "shop")


def test_what_goes_back_as_a_whole_asks_where_there_is_data(tmp_path: Path) -> None:
    files = {"a.yaml": f"id: a\n{COMMAND}", "b.yaml": f"id: b\n{COMMAND}update: {{onFailure: back}}\n"}
    for on_failure, expected in (("revert", ["ask", "back"]), ("keep", ["back", "back"])):
        found = read(tmp_path, files, onFailure=on_failure)
        assert [each.manifest.update.on_failure for each in found.services] == expected


def test_files_of_secrets_are_no_manifests(tmp_path: Path) -> None:
    secrets = "secrets: {A: {file: ../keys.yaml, key: a}, B: {file: sealed.yaml, key: a}}\n"
    files = {
        "keys.yaml": "a: plain\n",
        "below/sealed.yaml": sealed("yaml", "a: secret\n").decode(),
        "below/a.yaml": f"id: a\n{COMMAND}{secrets}",
    }
    assert ids(read(tmp_path, files)) == ["a"]
    assert read(tmp_path, {"other.yaml": "a: plain\n"}).problems
