"""What services of Compose files are called, beside each other, and after an earlier version."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.compose import Around, read_compose
from manifests.compose.ids import former_ids, name_services
from manifests.compose.values import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.compose.ids import KeptIds
    from manifests.model.snapshot import Problem

FILE = "services: {web: {image: app, depends_on: [db]}, db: {image: pg}}\n"


def ids(
    text: str, folder: str = "/srv/shop", env: str = "", kept: KeptIds | None = None, root: str = ""
) -> tuple[dict[str, str], str, list[Problem]]:
    """By service's name its id; the project's name; what was told."""
    told: list[Problem] = []
    beside: Mapping[str, str] = {f"{folder}/.env": env} if env else {}
    around = Around(warn=told.append, kept=kept or {}, root=root)
    manifests, problems = read_compose(text, f"{folder}/compose.yaml", folder, beside.get, around)
    assert problems == ()
    (project,) = {each.project.name for each in manifests if each.project}
    return {each.project.aliases[0]: each.id for each in manifests if each.project}, project, told


def test_a_project_is_named_by_its_file_or_dot_env_or_folder() -> None:
    assert ids(FILE)[:2] == ({"web": "shop-web", "db": "shop-db"}, "shop")
    assert ids(FILE, "/srv/My.App")[:2] == ({"web": "myapp-web", "db": "myapp-db"}, "myapp")
    assert ids(f"name: My.App\n{FILE}")[:2] == ({"web": "myapp-web", "db": "myapp-db"}, "myapp")
    assert ids(FILE, env="COMPOSE_PROJECT_NAME=other\n")[1] == "other"
    assert ids(f"name: mine\n{FILE}", env="COMPOSE_PROJECT_NAME=other\n")[1] == "mine"
    assert ids(FILE, "/srv/my_app")[:2] == ({"web": "my-app-web", "db": "my-app-db"}, "my-app")
    assert ids(FILE, "/...")[:2] == ({"web": "compose-web", "db": "compose-db"}, "compose")
    assert ids("name: web\nservices: {web: {image: a}}")[0] == {"web": "web"}


def test_two_files_with_a_service_of_one_name_do_not_share_it() -> None:
    assert not set(ids(FILE, "/srv/shop")[0].values()) & set(ids(FILE, "/srv/wiki")[0].values())


@pytest.mark.parametrize("variable", ["My.App", "-a", "a b", "A"])
def test_a_variable_that_names_no_project_is_refused(variable: str) -> None:
    with pytest.raises(Invalid, match="COMPOSE_PROJECT_NAME"):
        name_services(["web"], None, variable, "shop", {}, "")


def test_what_an_earlier_version_has_started_keeps_its_id_its_network_and_its_volumes() -> None:
    found, project, told = ids(FILE, kept={"shop": ["db"]})
    assert (found, project) == ({"web": "shop-web", "db": "db"}, "shop")
    assert [(each.service, each.reason) for each in told] == [("db", "KeptId")]
    found, project, _ = ids(FILE, "/srv/My.App", kept={"my-app": ["db", "web"]})
    assert (found, project) == ({"web": "web", "db": "db"}, "my-app")
    found, project, _ = ids(f"name: My.App\n{FILE}", kept={"my-app": ["my-app-db"]})
    assert (found, project) == ({"web": "myapp-web", "db": "my-app-db"}, "my-app")


def test_what_others_keep_is_no_reason() -> None:
    """Two files had a `db`: one of them got it, and the other one gets its own now."""
    kept = {"shop": ["db"]}
    assert ids(FILE, "/srv/wiki", kept=kept)[:2] == ({"web": "wiki-web", "db": "wiki-db"}, "wiki")
    assert ids(f"name: wiki\n{FILE}", kept=kept)[1] == "wiki"


def test_a_commits_folder_is_no_name_and_what_ran_from_one_goes_on() -> None:
    commit = f"{'a' * 40}-{'b' * 8}"
    other = f"{'c' * 40}-{'b' * 8}"
    assert ids(FILE, f"/t/{commit}", root="home")[:2] == ({"web": "home-web", "db": "home-db"}, "home")
    found = ids(FILE, f"/t/{other}", kept={commit: ["db"], "home": ["x"]}, root="home")
    assert found[:2] == ({"web": "home-web", "db": "db"}, commit)


def test_a_long_folder_is_shortened_and_a_long_name_refused() -> None:
    folders = [f"/srv/{'x' * 60}{end}" for end in "ab"]
    one, other = (ids(FILE, folder)[0]["db"] for folder in folders)
    assert one != other and max(len(one), len(other)) <= 63
    with pytest.raises(Invalid, match="longer than 63"):
        name_services(["web"], "x" * 62, None, "", {}, "")


_NAMES = st.text("aB1._-é ", min_size=1, max_size=70)


@given(st.lists(st.from_regex(r"[a-zA-Z0-9._-]{1,40}", fullmatch=True), max_size=4, unique=True), _NAMES)
def test_ids_are_labels_and_what_is_kept_stays_kept(services: list[str], folder: str) -> None:
    try:
        found = name_services(services, None, None, folder, {}, "")
    except Invalid:
        return
    label = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
    assert all(map(label.fullmatch, [found.project, *found.ids.values()]))
    project, old = former_ids(services, None, folder)
    if len(set(old)) == len(old):
        again = name_services(services, None, None, folder, {project: old}, "")
        assert (again.project, list(again.ids.values())) == (project if old else found.project, old)
