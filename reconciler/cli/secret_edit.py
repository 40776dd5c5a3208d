"""A plain text in a person's editor, without any disk: a folder in memory, gone afterwards.

Who is killed meanwhile leaves it in memory, and whoever edits next removes it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from manifests.sops.trouble import SopsTrouble
from reconciler.errors import UserError
from runtimes.memory_files import memory_folder

if TYPE_CHECKING:
    from collections.abc import Callable


_PREFIX = "atek-edit-"


def edited(plain: bytes, name: str, encrypt: Callable[[bytes], bytes]) -> bytes | None:
    """The new text, encrypted; None when nothing was changed. Raises UserError, SopsTrouble or OSError.

    What cannot be encrypted is shown to the person again, if there is one.
    """
    memory = memory_folder()
    if memory is None:
        raise UserError(
            "this machine has no folder in memory to edit in", hint="mount a tmpfs at /dev/shm, or use `sops`"
        )
    _remove_left(memory)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=memory))
    try:
        file = folder / os.path.basename(name)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as opened:
            opened.write(plain)
        while True:
            _edit(file)
            text = file.read_bytes()
            if text == plain:
                return None
            try:
                return encrypt(text)
            except SopsTrouble as trouble:
                if not _again(trouble):
                    raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left(memory: Path) -> None:
    """By those of this user who do not live any more."""
    for folder in memory.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        with suppress(OSError):
            if folder.lstat().st_uid == os.geteuid() and not os.path.exists(f"/proc/{pid}"):
                shutil.rmtree(folder, ignore_errors=True)


def _edit(file: Path) -> None:
    line = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or _usual())
    # Ctrl-C is the editor's.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        status = subprocess.run([*line, os.fspath(file)], check=False, cwd=file.parent).returncode
    except FileNotFoundError:
        raise UserError(f"there is no editor {line[0]}", hint="EDITOR says which one it is") from None
    finally:
        signal.signal(signal.SIGINT, before)
    if status:
        raise UserError(f"{line[0]} ended with status {status}", hint="the file stays as it was")


def _usual() -> str:
    return next((each for each in ("sensible-editor", "nano", "vim", "vi") if shutil.which(each)), "vi")


def _again(trouble: SopsTrouble) -> bool:
    if not sys.stdin.isatty():
        return False
    print(f"{trouble}", file=sys.stderr)
    try:
        return input("Enter to edit it again, n to give up: ").strip().lower() != "n"
    except (EOFError, KeyboardInterrupt):
        return False
