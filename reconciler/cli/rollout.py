"""Waiting for what `atek apply` changed to become Ready, and saying meanwhile why it is not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from reconciler.cli.client import Client
from reconciler.cli.output import clean
from reconciler.cli.waiting import wait_for
from reconciler.drive.service_state import explanation, serves
from reconciler.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Rollout:
    """Remembers how the node was before the change; make it before, wait after."""

    def __init__(self, home: Path) -> None:
        self._client = Client(home)
        self._before = _revisions(self._client.status())
        self._printed: dict[str, str] = {}

    def wait(self, results: Mapping[str, str], *, seconds: float) -> int:
        """`results` is id → created, configured or unchanged. Raises UserError when it is not so in time."""
        changed = any(result != "unchanged" for result in results.values())

        def look(status: dict[str, Any]) -> bool | None:
            if changed and _revisions(status) == self._before:
                return None
            services = {service["id"]: service for service in status["services"]}
            return all(name in services and serves(services[name]) for name in results) or None

        done = wait_for(
            self._client, look, seconds=seconds, progress=lambda status: self._print(status, results)
        )
        if done is None:
            why = "; ".join(f"{name}: {text}" for name, text in self._printed.items() if text)
            raise UserError(
                f"not ready after {seconds:g} s: {why or 'the node has not noticed the change'}",
                hint="the node goes on trying; `atek status --watch` shows how it fares",
            )
        print("ready")
        return 0

    def _print(self, status: dict[str, Any], results: Mapping[str, str]) -> None:
        """On stderr, and only what is new: a pipe gets the results alone."""
        for service in status["services"]:
            name, text = service["id"], clean(explanation(service))
            if name in results and self._printed.get(name) != text:
                self._printed[name] = text
                if text:
                    print(f"{name}: {text}", file=sys.stderr, flush=True)


def _revisions(status: dict[str, Any]) -> list[object]:
    return [(source["name"], source["revision"]) for source in status["sources"]]
