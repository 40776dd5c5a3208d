"""What the control socket offers of a node's databases, follows and history: the command line's other end."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from hyper.encoding.link import Link, format_link
from hyper.port import Position, Undecodable
from manifests.documents.document import no_line
from manifests.documents.explain import explain
from manifests.model.policy import Policy
from reconciler.errors import UserError
from reconciler.http.jsonrpc import INVALID_PARAMS, RpcError
from reconciler.peers.backup import store_backup
from reconciler.peers.errors import for_people
from reconciler.peers.history import history, records_at, rollback
from reconciler.peers.port import FOLLOW, Change, Follow
from reconciler.peers.push import push
from reconciler.peers.remote_status import remote_status
from reconciler.serve.params import number, text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from reconciler.port import NodeApi

    Method = Callable[[NodeApi, dict[str, Any]], Awaitable[object]]

#: Seconds that one call may wait for news; the command line asks again.
_LONGEST_WAIT = 10.0


async def _keys(node: NodeApi, params: dict[str, Any]) -> object:
    keys = await node.nodes.keys()
    return {
        "name": keys.name,
        "key": keys.records,
        "link": format_link(Link(keys.records, keys.noise, keys.address)),
        "status": keys.status,
        "noise": keys.noise,
        "address": keys.address,
    }


async def _follows(node: NodeApi, params: dict[str, Any]) -> object:
    return [await _followed(node, follow) for follow in node.nodes.follows()]


async def _followed(node: NodeApi, follow: Follow) -> dict[str, Any]:
    """One follow and how it fares, without its keys."""
    found = await node.nodes.followed(follow.name)
    database = found.database
    return {
        "name": follow.name,
        "node": found.node.get("name"),
        "connected": bool(database and database.peers),
        "synced": bool(database and database.synced),
        "version": database.version if database else None,
        "behind": max(0, database.known - database.version) if database else None,
        "policy": follow.policy.to_json(),
    }


async def _follow(node: NodeApi, params: dict[str, Any]) -> object:
    """What is known of a node's way stays known when only its policy is given anew."""
    name, key = text(params, "name"), text(params, "key")
    before = next((each for each in node.nodes.follows() if (each.name, each.key) == (name, key)), None)
    noise, at = params.get("noise", ""), params.get("at", "")
    policy = _policy(params.get("policy", {}))
    known = before or Follow(name, key, policy=Policy(trust="foreign"))
    if policy.trust is None:
        # Who does not say whose it is means what he has said before.
        policy = policy.model_copy(update={"trust": known.policy.trust})
    await node.nodes.follow(Follow(name, key, noise or known.noise, at or known.at, policy))
    return {"changed": before is not None}


def _policy(value: Any) -> Policy:
    try:
        return Policy.model_validate(value)
    except ValidationError as error:
        problem = explain(error, Policy, value, line_of=no_line)[0]
        raise UserError(f"{problem.key}: {problem.message}", hint=problem.hint) from error


async def _unfollow(node: NodeApi, params: dict[str, Any]) -> object:
    """What its services were granted goes with it: whoever is followed again asks again."""
    name = text(params, "name")
    # First: a node that is killed in between follows on with less, and never again with more.
    for follow in node.nodes.follows():
        if follow.name == name:
            node.granting.forget(f"{FOLLOW}{follow.key}")
    await node.nodes.unfollow(name)
    return {}


async def _node_status(node: NodeApi, params: dict[str, Any]) -> object:
    """`since`, as it was answered before: waits up to `wait` seconds for something newer."""
    since, wait = params.get("since"), min(float(params.get("wait") or 0.0), _LONGEST_WAIT)
    position = Position(*since) if since else None
    return await remote_status(node.nodes, text(params, "name"), since=position, seconds=wait)


async def _push(node: NodeApi, params: dict[str, Any]) -> object:
    manifest, folder = params.get("manifest"), params.get("folder")
    if not isinstance(manifest, dict) or not (folder is None or isinstance(folder, str)):
        raise RpcError(INVALID_PARAMS, "manifest must be an object, folder a path")
    return asdict(await push(node.nodes, manifest, folder, params.get("to") or ""))


async def _history(node: NodeApi, params: dict[str, Any]) -> object:
    found = await history(node.nodes, node=params.get("node") or "", service_id=params.get("id") or "")
    return [asdict(entry) for entry in found]


async def _rollback(node: NodeApi, params: dict[str, Any]) -> object:
    done = await rollback(node.nodes, to=number(params, "to"), service_id=params.get("id") or "")
    return asdict(done)


async def _records_at(node: NodeApi, params: dict[str, Any]) -> object:
    found = await records_at(node.nodes, number(params, "version"), params.get("node") or "")
    return [
        {"path": list(each.path), "seq": each.seq, "value": each.value}
        for each in found
        if not isinstance(each.value, Undecodable)
    ]


async def _record_ids(node: NodeApi, params: dict[str, Any]) -> object:
    """Id → whether it is suspended, of all services in this node's own records."""
    if not node.nodes.configured:
        return {}
    return {name: _is_suspended(each.value) for name, each in (await node.nodes.services.read()).items()}


def _is_suspended(value: Mapping[str, Any]) -> bool:
    spec = value.get("spec")
    return isinstance(spec, dict) and spec.get("suspend") is True


async def _suspend(node: NodeApi, params: dict[str, Any]) -> object:
    suspended = params.get("suspended") is True
    keys = await node.nodes.keys()
    change = Change(keys.name, "stop" if suspended else "start")
    return {"version": await node.nodes.services.suspend(text(params, "id"), change, suspended=suspended)}


async def _remove(node: NodeApi, params: dict[str, Any]) -> object:
    keys = await node.nodes.keys()
    change = Change(keys.name, "delete")
    return {"version": await node.nodes.services.remove(text(params, "id"), change)}


async def _backup(node: NodeApi, params: dict[str, Any]) -> object:
    return await store_backup(node.nodes)


async def _repair(node: NodeApi, params: dict[str, Any]) -> object:
    """Makes both of this node's databases writable again after their logs were forked."""
    keys = await node.nodes.keys()
    with for_people():
        for database in (keys.records, keys.status):
            await node.nodes.hyper.repair(database)
    return {}


METHODS: dict[str, Method] = {
    "keys": _keys,
    "follows": _follows,
    "follow": _follow,
    "unfollow": _unfollow,
    "nodeStatus": _node_status,
    "push": _push,
    "history": _history,
    "rollback": _rollback,
    "recordsAt": _records_at,
    "recordIds": _record_ids,
    "suspend": _suspend,
    "remove": _remove,
    "backup": _backup,
    "repair": _repair,
}
