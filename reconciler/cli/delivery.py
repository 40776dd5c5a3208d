"""Waiting until a service that was pushed runs on another node, by the status that this node publishes."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from reconciler.cli.output import clean
from reconciler.decide.conditions import condition_of
from reconciler.decide.grants import GRANT_REQUIRED
from reconciler.drive.service_state import explanation, serves
from reconciler.errors import UserError
from reconciler.peers.publication import mark_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.cli.client import Client

    Status = Mapping[str, Any]

#: Seconds that one question may wait for news.
_PAUSE = 1.0
#: Seconds. What looks as it did before the push may still be about what was there before.
LASTS = 1.5


class Delivery:
    """One service on its way to one node; make it before the push, wait after it."""

    def __init__(self, client: Client, node: str, service_id: str, own_key: str) -> None:
        self._client = client
        self._node = node
        self._id = service_id
        self._mark = mark_of(own_key)
        self._printed = ""
        self._same_since: float | None = None
        self._before = _revision(_entry(self._status(), service_id))
        self._away = False

    def wait(self, version: int, *, seconds: float) -> None:
        """Until the node runs what version `version` of our records says. Raises UserError if it does not."""
        deadline = time.monotonic() + seconds
        status = self._status()
        while not self._arrived(status, version):
            if (left := deadline - time.monotonic()) <= 0:
                raise self._too_late(seconds)
            wait = min(left, _PAUSE)
            status = self._client.call("nodeStatus", name=self._node, since=status["position"], wait=wait)
        print(f"{self._id} is ready on {self._node}")

    def _status(self) -> dict[str, Any]:
        status: dict[str, Any] = self._client.call("nodeStatus", name=self._node)
        return status

    def _arrived(self, status: Status, version: int) -> bool:
        """Raises UserError when the node has given up, or refuses it."""
        obstacle = self._obstacle(status, version)
        entry = _entry(status, self._id)
        if obstacle or entry is None:
            self._same_since = None
            self._print(obstacle or "has it, and does not say yet how it fares")
            return False
        return self._outcome(entry)

    def _obstacle(self, status: Status, version: int) -> str:
        """What lies between our record and that node's reading it; empty once it was read."""
        self._away = not status["connected"]
        if self._away:
            return "is away: it gets it once it is back"
        if not status["known"]:
            return "is connected, and nothing of its status has arrived yet"
        follow = self._follow(status)
        if follow is None:
            return "does not follow this node: `atek follow` there, with the link of `atek key` here"
        if _version(follow) < version:
            return "has not read it yet"
        entry = _entry(status, self._id)
        if entry and entry["source"] and entry["source"] != follow["name"]:
            raise UserError(
                f"{self._node} runs {self._id} from its own {entry['source']}, which wins",
                hint="push it with another --id",
            )
        return ""

    def _follow(self, status: Status) -> dict[str, Any] | None:
        follows = status["node"].get("follows") or ()
        return next((each for each in follows if each.get("mark") == self._mark), None)

    def _outcome(self, entry: dict[str, Any]) -> bool:
        """News are believed at once, what is as before only once it lasts."""
        try:
            reached = None if _newer_is_pending(entry) else serves(entry)
        except UserError as error:
            if not self._lasts():
                return False
            raise self._given_up(entry) from error
        if reached is None:
            self._same_since = None
            self._print(_why(entry))
            return False
        return _revision(entry) != self._before or self._lasts()

    def _lasts(self) -> bool:
        now = time.monotonic()
        self._same_since = self._same_since or now
        return now - self._same_since >= LASTS

    def _print(self, text: str) -> None:
        """On stderr, and only what is new."""
        if text and text != self._printed:
            self._printed = text
            print(f"{self._id}: {self._node} {clean(text)}", file=sys.stderr, flush=True)

    def _given_up(self, entry: dict[str, Any]) -> UserError:
        hint = f"`atek logs {self._id}` on {self._node} may say more"
        if "PolicyForbids" in (condition_of(entry, kind)["reason"] for kind in ("UpToDate", "Stalled")):
            hint = f"what it allows was said there with `atek follow`; `atek status --node {self._node}`"
        if condition_of(entry, "Stalled")["reason"] == GRANT_REQUIRED:
            hint = f"whoever {self._node} belongs to decides; it starts by itself then"
        return UserError(f"{self._id} does not run on {self._node}: {_explanation(entry)}", hint=hint)

    def _too_late(self, seconds: float) -> UserError:
        hint = f"it goes on; `atek status --node {self._node}` shows how it fares"
        if self._away:
            return UserError(
                f"{self._id} is not delivered: {self._node} is away", hint=f"once it is back, {hint}"
            )
        why = self._printed or "tells nothing new"
        return UserError(f"{self._id} is not ready after {seconds:g} s: {self._node} {why}", hint=hint)


def _entry(status: Status, service_id: str) -> dict[str, Any] | None:
    return next((each for each in status["services"] if each.get("id") == service_id), None)


def _revision(entry: dict[str, Any] | None) -> str | None:
    return entry["desiredRevision"] if entry else None


def _version(follow: Mapping[str, Any]) -> int:
    """How far the other node has read our records."""
    position = follow.get("position")
    version = position[-1] if isinstance(position, list) and position else position
    return version if isinstance(version, int) else 0


def _newer_is_pending(entry: dict[str, Any]) -> bool:
    """An older state runs, and the newer one is on its way. Raises UserError when it is refused."""
    newer = condition_of(entry, "UpToDate")
    if newer["status"] != "False":
        return False
    if newer["reason"] in ("Fetching", "FetchFailed"):
        return True
    raise UserError(_explanation(entry))


def _why(entry: dict[str, Any]) -> str:
    text = _explanation(entry)
    return f"says {text}" if text else ""


def _explanation(entry: dict[str, Any]) -> str:
    """Of the newer state, where an older one runs; else of the service."""
    newer = condition_of(entry, "UpToDate")
    return f"{newer['reason']}: {newer['message']}" if newer["status"] == "False" else explanation(entry)
