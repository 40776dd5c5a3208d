"""The control socket's methods about people: what `atek user` asks. Who may use the socket may do all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.errors import UserError
from reconciler.http.jsonrpc import INVALID_PARAMS, RpcError
from reconciler.people.decide import owners
from reconciler.people.model import MEMBER, OWNER
from reconciler.serve.params import text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reconciler.people.model import Person
    from reconciler.people.port import People
    from reconciler.port import NodeApi

    Method = Callable[[NodeApi, dict[str, Any]], Awaitable[object]]


async def _list(node: NodeApi, params: dict[str, Any]) -> object:
    """Everybody."""
    return [_told(node.people, each) for each in node.people.everybody.people.values()]


async def _create(node: NodeApi, params: dict[str, Any]) -> object:
    """Without a role, whoever comes while nobody owns the home is its owner."""
    role = params.get("role")
    if role is None:
        role = MEMBER if owners(node.people.everybody) else OWNER
    if not isinstance(role, str):
        raise RpcError(INVALID_PARAMS, "role must be text")
    person = await node.people.create(text(params, "username"), _password(params), role)
    return _told(node.people, person)


async def _change(node: NodeApi, params: dict[str, Any]) -> object:
    """A password, a role or another name."""
    person = _named(node.people, text(params, "username"))
    known = {key: params[key] for key in ("password", "role", "newName") if key in params}
    if not all(isinstance(each, str) for each in known.values()):
        raise RpcError(INVALID_PARAMS, "what changes must be text")
    changed = await node.people.update(
        person.key,
        username=known.get("newName"),
        password=known.get("password"),
        role=known.get("role"),
    )
    return _told(node.people, changed)


async def _remove(node: NodeApi, params: dict[str, Any]) -> object:
    """What was theirs, which is stopped."""
    person = _named(node.people, text(params, "username"))
    return {"stopped": await node.people.remove(person.key)}


async def _end_sessions(node: NodeApi, params: dict[str, Any]) -> object:
    """Of one person: those whose ids begin like one of `ids`, or all."""
    person = _named(node.people, text(params, "username"))
    ids = params.get("ids", [])
    if not isinstance(ids, list) or not all(isinstance(each, str) and each for each in ids):
        raise RpcError(INVALID_PARAMS, "ids must be a list of text")
    theirs = node.people.sessions(person.key)
    for each in ids:
        if not any(session.startswith(each) for session in theirs):
            raise UserError(
                f"{person.username} has no session {each}", hint="`atek user sessions` lists them"
            )
    ended = [session for session in theirs if not ids or session.startswith(tuple(ids))]
    await node.people.end(ended)
    return {"ended": len(ended)}


async def _offer(node: NodeApi, params: dict[str, Any]) -> object:
    """A new link that makes the first person; the one before is worth nothing any more."""
    code = node.people.offer()
    if not code:
        raise UserError("there is somebody already", hint="`atek user list` names everybody")
    return {"code": code, "address": node.status()["node"]["address"]}


def _password(params: dict[str, Any]) -> str:
    return text(params, "password")


def _named(people: People, username: str) -> Person:
    person = people.named(username)
    if person is None:
        raise UserError(f"there is nobody called {username}", hint="`atek user list` names everybody")
    return person


def _told(people: People, person: Person) -> dict[str, Any]:
    """All but what nobody has to know: a password's hash, a session's whole id."""
    sessions = sorted(people.sessions(person.key).items(), key=lambda each: -each[1].seen)
    return {
        "key": person.key,
        "username": person.username,
        "role": person.role,
        "created": person.created,
        "sessions": [
            {"id": session[:12], "device": each.device, "created": each.created, "seen": each.seen}
            for session, each in sessions
        ],
    }


METHODS: dict[str, Method] = {
    "people": _list,
    "createPerson": _create,
    "changePerson": _change,
    "removePerson": _remove,
    "endSessions": _end_sessions,
    "offerFirstPerson": _offer,
}
