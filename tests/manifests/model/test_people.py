"""`access` and `signIn` in a manifest: what may stand there, and that it restarts nothing."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from manifests.model.manifest import Manifest
from manifests.model.service import make_service


def manifest(**keys: Any) -> Manifest:
    return Manifest.model_validate({"id": "app", "command": ["x"], **keys})


def revision(**keys: Any) -> str:
    return make_service(manifest(**keys), runtime="process", package=None, source="").revision


@pytest.mark.parametrize(
    "access", ["private", "members", "public", ["alice"], ["alice", "bob.b@example.com"], []]
)
@pytest.mark.parametrize(
    "sign_in", [{"header": "Remote-User"}, {"email": "X-Mail", "name": "X-WebAuth-Name"}]
)
def test_who_may_and_what_is_told_make_no_new_revision(access: Any, sign_in: Any) -> None:
    assert revision(access=access, signIn=sign_in) == revision()


@pytest.mark.parametrize("access", ["everybody", "alice", "", [""], [["alice"]], {"alice": True}, 1, True])
def test_what_is_no_group_of_people_is_refused(access: Any) -> None:
    with pytest.raises(ValidationError):
        manifest(access=access)


@pytest.mark.parametrize(
    "sign_in",
    [
        {},
        {"header": ""},
        {"header": "Remote User"},
        {"header": "Remote-User\r\nX: y"},
        {"header": "Remote_User"},
        {"header": "Host"},
        {"header": "CONTENT-LENGTH"},
        {"header": "Cookie"},
        {"header": "authorization"},
        {"header": "Atek-Auth-User"},
        {"header": "X-Forwarded-For"},
        {"header": "X" * 65},
        {"header": "Remote-User", "name": "remote-user"},
        {"heeder": "Remote-User"},
    ],
)
def test_a_header_that_says_something_else_is_no_persons(sign_in: Any) -> None:
    with pytest.raises(ValidationError):
        manifest(signIn=sign_in)
