"""A real Chromium without a window, told what to do by the DevTools protocol over a socket that it inherits.

Its own check of pages that reach into the local network is switched off: what is tested here has to hold
without it. Names under .test are this machine. Without Chromium tests are skipped and say why; with
ATEK_TEST_BROWSER=required in the environment, as in CI, they fail.

Everything blocks: call it from a thread where a router lives in the test's own loop.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from typing import Any, Self

import pytest

REQUIRED = "ATEK_TEST_BROWSER"
NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Seconds for each answer on a busy machine.
PATIENCE = 60.0
#: Where the protocol is read and written, by --remote-debugging-pipe.
_READ, _WRITE = 3, 4
_LAUNCH = f"""
import os, sys
inherited = int(sys.argv[1])
os.dup2(inherited, {_READ}), os.dup2(inherited, {_WRITE})
os.execvp(sys.argv[2], sys.argv[2:])
"""
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--disable-dev-shm-usage", "--remote-debugging-pipe",
    "--host-resolver-rules=MAP *.test 127.0.0.1",
    "--disable-popup-blocking",
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,"
    "PrivateNetworkAccessSendPreflights,PrivateNetworkAccessForNavigations,HttpsUpgrades,"
    "HttpsFirstBalancedModeAutoEnable",
)  # fmt: skip


def find_chromium() -> str:
    """The program; skips or fails the test where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is not None:
        return found
    missing = f"{NAMES[0]} is not installed"
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(missing)
    pytest.skip(missing)


class Browser:
    """Use it as a context."""

    def __enter__(self) -> Self:
        program = find_chromium()
        self._profile = tempfile.mkdtemp(prefix="atek-browser-")
        self._socket, inherited = socket.socketpair()
        self._socket.settimeout(PATIENCE)
        self._came, self._number = b"", 0
        self._events: list[dict[str, Any]] = []
        words = [program, *_FLAGS, f"--user-data-dir={self._profile}"]
        with inherited, open(os.path.join(self._profile, "log"), "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _LAUNCH, str(inherited.fileno()), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(inherited.fileno(),),
                start_new_session=True,
            )
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)

    def page(self, url: str) -> Page:
        """A page of its own, as in a new profile, once it is there."""
        context = self.call("Target.createBrowserContext", disposeOnDetach=True)["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, context)
        page.call("Page.enable")
        page.call("Log.enable")
        page.go(url)
        return page

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """What the browser answers. Raises RuntimeError for its errors, TimeoutError without any answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        self._socket.sendall(
            json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0"
        )
        while (answer := self._next()).get("id") != self._number:
            self._events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def forget(self, session: str) -> None:
        """What was told of a page up to now."""
        self._events = [each for each in self._events if each.get("sessionId") != session]

    def event(self, session: str, method: str, words: str = "") -> None:
        """Returns once the browser has told that of the page, in these words."""
        while not any(
            each.get("sessionId") == session and each["method"] == method and words in json.dumps(each)
            for each in self._events
        ):
            self._events.append(self._next())

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._came:
            piece = self._socket.recv(1 << 16)
            if not piece:
                raise RuntimeError("the browser has ended")
            self._came += piece
        raw, _, self._came = self._came.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        return message


class Page:
    """One that the browser shows."""

    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self._browser = browser
        self._session = session
        self._context = context

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def go(self, url: str) -> None:
        """As a person who types it; returns once it is there."""
        self._browser.forget(self._session)
        failed = self.call("Page.navigate", url=url).get("errorText")
        if failed:
            raise RuntimeError(f"{url}: {failed}")
        self._browser.event(self._session, "Page.loadEventFired")

    def run(self, script: str) -> Any:
        """The value of the body of an async function, run by the page itself."""
        done = self.call(
            "Runtime.evaluate",
            expression=f"(async () => {{ {script} }})()",
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in done:
            raise RuntimeError(str(done["exceptionDetails"].get("exception", {}).get("description")))
        return done["result"].get("value")

    def cookies(self) -> set[tuple[str, str]]:
        """All that its browser keeps: name and domain, which begins with a dot where it is one."""
        kept = self._browser.call("Storage.getCookies", browserContextId=self._context)["cookies"]
        return {(each["name"], each["domain"]) for each in kept}

    def logged(self, words: str) -> None:
        """Returns once the browser has written these words for the page's developer."""
        self._browser.event(self._session, "Log.entryAdded", words)

    def close(self) -> None:
        self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)
