"""One program of somebody else's on a real node, taken through the steps of its life as its user would."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from tests.e2e.nodes import Bench
from tests.programs.traces import still_there, touching, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

#: Seconds that a registry, an installation and a build may take together on a busy machine.
INSTALL = 600.0
#: Seconds until a program that is installed answers, or has ended.
LONG = 120.0


class Trial(Bench):
    """Notes each step that is done, and the one that failed."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.version = ""
        self.steps: list[str] = []
        self.failure = ""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.failure = f"{name}: {_first_line(error)}"
            raise
        self.steps.append(name)

    # -- what is wanted

    def package(self, name: str, files: Mapping[str, str]) -> Path:
        """A folder of this name with these files in it."""
        folder = self.root / name
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        return folder

    def manifest(self, service_id: str, **document: Any) -> None:
        self.write(f"{service_id}.json", json.dumps({"id": service_id, **document}))

    # -- what happens to it

    def installed(self, service_id: str) -> None:
        """Waits until it is Ready; a service that is given up on says why."""
        self.until(lambda: self._ready_or_given_up(service_id), f"{service_id} is Ready", INSTALL)

    def rolled(self, service_id: str, edit: Callable[[], object]) -> None:
        """Makes an edit, and waits until its revision alone is there and Ready."""
        before = self.service(service_id)["observedRevision"]
        edit()

        def there() -> bool:
            service = self.service(service_id)
            observed = service["observedRevision"]
            assert self.condition(service_id, "Stalled")[0] != "True", self.why(service_id)
            return (
                observed != before
                and observed == service["desiredRevision"]
                and {each["revision"] for each in service["instances"]} == {observed}
                and self.ready(service_id)
            )

        self.until(there, f"{service_id} has the edit", INSTALL)

    def adopted(self, service_id: str, *, whole: bool = True) -> None:
        """kill -9 of the node, and another one: the same process serves; if `whole`, its children too."""
        before = self.pid(service_id)
        members = tree(before)
        self.kill()
        self.up()
        self.until(lambda: self.ready(service_id), "Ready after the node's death", LONG)
        assert self.pid(service_id) == before, f"{before} was not adopted\n{self.log()[-3000:]}"
        gone = set(members) - set(still_there(members))
        assert not (gone if whole else gone & {before}), f"{gone} were ended\n{self.log()[-3000:]}"

    def crashed(self, service_id: str) -> None:
        """kill -9 of the program: another process takes its place."""
        before = self.pid(service_id)
        os.kill(before, signal.SIGKILL)

        def replaced() -> bool:
            instances = self.service(service_id)["instances"]
            return bool(instances) and instances[0]["pid"] not in (None, before) and self.ready(service_id)

        self.until(replaced, f"{service_id} is replaced", LONG)

    def stopped(self, service_id: str) -> None:
        """`atek stop`: nothing of it is left, wherever it hides."""
        members = tree(self.pid(service_id))
        done = self.atek("stop", service_id)
        assert done.returncode == 0, done.stderr
        self.until(lambda: not self.service(service_id)["instances"], f"{service_id} is stopped", LONG)
        left = still_there(members)
        assert not left, f"left behind: {left}"
        # Tools that the node itself has at work come to their end.
        self.until(lambda: not self.others(), f"nothing of {service_id} is left", LONG)

    # -- what is

    def why(self, service_id: str) -> str:
        """What a person would look at."""
        told = "; ".join(
            f"{each['type']}={each['status']} {each['reason']}: {each['message']}"
            for each in self.service(service_id)["conditions"]
        )
        return f"{told}\n{self.atek('logs', service_id, '-n', '20').stdout[-2000:]}"

    def others(self) -> dict[int, str]:
        """Processes that touch this trial's folder and are not the node's own."""
        assert self.node
        return {
            pid: command
            for pid, command in touching(self.root).items()
            if pid != self.node.pid and not (command.startswith(sys.executable) and " runtimes." in command)
        }

    def endpoint(self, service_id: str) -> str:
        (instance,) = self.service(service_id)["instances"]
        endpoint: str = instance["endpoint"]
        return endpoint

    def port(self, service_id: str) -> int:
        """The TCP port that the program listens on."""
        return int(self.endpoint(service_id).rpartition(":")[2])

    def ask(
        self,
        service_id: str,
        path: str = "/",
        *,
        method: str = "GET",
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        host: str | None = None,
    ) -> tuple[int, str]:
        """Through the router, by the service's host name: status and text of the answer."""
        node = int(self.status()["node"]["address"].rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", node, timeout=60)
        try:
            named = {"Host": host or f"{service_id}.localhost:{node}", **(headers or {})}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def page(self, service_id: str, path: str = "/") -> str:
        """The text of a page that has to be there."""
        status, text = self.ask(service_id, path)
        assert status == 200, f"{path}: {status} {text[:500]}"
        return text

    def close(self) -> None:
        if self.node and self.node.poll() is None:
            self.kill()
        for pid in touching(self.root):
            # Who goes in a sandbox takes the others along.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        super().close()

    def _ready_or_given_up(self, service_id: str) -> bool:
        stalled = self.condition(service_id, "Stalled")
        failed = self.condition(service_id)[1] in ("PrepareFailed", "CrashLoopBackOff")
        assert stalled[0] != "True" and not failed, self.why(service_id)
        return self.ready(service_id)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300]
