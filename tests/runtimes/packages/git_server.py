"""Repositories for tests: made in a folder, served by it or by a plain web server on loopback."""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from manifests.model.git import GitPackage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtimes.packages.git import Repositories

WHO = {
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
}  # fmt: skip


class Repository:
    """A bare repository, `path`, with the branch main and a work tree to commit from."""

    def __init__(self, folder: Path) -> None:
        self.path = folder.with_name(f"{folder.name}.git")
        self._tree = folder
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(self.path))
        self.git("remote", "add", "origin", str(self.path))

    def git(self, *arguments: str) -> str:
        """What git prints, in the work tree."""
        environment = {**os.environ, **WHO}
        line = ["git", "-c", "protocol.file.allow=always", *arguments]
        return subprocess.run(
            line, cwd=self._tree, env=environment, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, files: dict[str, str | None], *, tag: str = "") -> str:
        """Writes files (None deletes one), commits and pushes; returns the commit."""
        for name, text in files.items():
            path = self._tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True) if text is None else path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=more")
        if tag:
            self.git("tag", "--annotate", "--message=it", tag)
        self.git("push", "--quiet", "--tags", "origin", "HEAD")
        self.git("--git-dir", str(self.path), "update-server-info")
        return self.git("rev-parse", "HEAD")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """The files of a folder at this URL; such servers know nothing of git."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def package(origin: Repository, ref: str = "", folder: str = "", *, own: bool = True) -> GitPackage:
    return GitPackage(str(origin.path), ref, folder, own)


def text(store: Repositories, wanted: GitPackage, name: str = "a") -> str:
    found = store.find(wanted)
    assert found is not None
    return (Path(found) / name).read_text()


def with_large_file(origin: Repository, content: str) -> None:
    origin.git("lfs", "install", "--local")
    origin.git("lfs", "track", "*.big")
    origin.commit({"small": "s", "deep/x.big": content})
