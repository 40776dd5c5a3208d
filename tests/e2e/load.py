"""Constant load on a node from many keep-alive connections, and everything that went wrong with it."""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

API = "example.com/echo"


@dataclass
class Load:
    """`seen` counts answers by the value that the service gave; `failures` are sentences."""

    port: int
    token: str
    service: str
    seen: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self, pages: int, calls: int) -> Iterator[Load]:
        """So many connections that get pages, and so many that make calls, until the context ends."""
        threads = [threading.Thread(target=self._repeat, args=(self._page,)) for _ in range(pages)]
        threads += [threading.Thread(target=self._repeat, args=(self._call,)) for _ in range(calls)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def has_seen(self, value: str, times: int) -> bool:
        """Whether that many answers came with a value."""
        return self.seen.get(value, 0) >= times

    def _repeat(self, ask: Callable[[http.client.HTTPConnection, int], str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        number = 0
        while not self._stop.is_set():
            number += 1
            try:
                value = ask(connection, number)
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
                connection.close()
                continue
            with self._lock:
                self.seen[value] = self.seen.get(value, 0) + 1
        connection.close()

    def _page(self, connection: http.client.HTTPConnection, number: int) -> str:
        connection.request("GET", f"/{number}", headers={"Host": f"{self.service}.localhost"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise ValueError(f"{answer.status} {body.decode()}")
        return body.decode()

    def _call(self, connection: http.client.HTTPConnection, number: int) -> str:
        body = json.dumps({"jsonrpc": "2.0", "id": number, "method": "echo", "params": [number]})
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request("POST", f"/_atek/gateway?api={API}", body, headers)
        answer = json.loads(connection.getresponse().read())
        value, echoed = answer["result"]
        if (answer["id"], echoed) != (number, number):
            raise ValueError(f"{number} was answered with {answer}")
        return str(value)
