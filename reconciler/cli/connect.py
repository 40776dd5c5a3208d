"""`atek connect`: a home that is elsewhere, on this machine's own port. Needs no node here."""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.output import clean
from reconciler.errors import UserError
from reconciler.remote.codes import BadCode, looks_like_code, parse_code
from reconciler.remote.homes import HomesFile

if TYPE_CHECKING:
    import argparse

    from reconciler.remote.codes import Code
    from reconciler.remote.homes import Home

#: In the home of a node, or where one would be: the store is another one, so both may run.
_FOLDER = "connect"


def run(arguments: argparse.Namespace) -> int:
    """Goes on until Ctrl-C. Raises UserError."""
    import anyio

    folder = arguments.home / _FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    homes = HomesFile(folder)
    code = _code(arguments.to)
    home = None if code else _chosen(homes, arguments.to)
    with tempfile.TemporaryDirectory(prefix="atek-connect-") as sockets:
        try:
            anyio.run(_connect, folder, Path(sockets), homes, code, home, arguments.port, arguments.name)
        except KeyboardInterrupt:
            print()
    return 0


def _code(text: str | None) -> Code | None:
    if text is None or not looks_like_code(text):
        return None
    try:
        return parse_code(text.removeprefix("atek:"))
    except BadCode as error:
        raise UserError(f"that is no code: {error}", hint="copy all of what `atek pair` shows") from error


def _chosen(homes: HomesFile, name: str | None) -> Home:
    known = homes.all()
    if name is not None:
        known = [each for each in known if each.name == name]
    if len(known) == 1:
        return known[0]
    if known:
        names = ", ".join(each.name for each in known)
        raise UserError(f"there are several homes: {names}", hint="`atek connect NAME` chooses one")
    what = f"no home called {name}" if name else "no home"
    raise UserError(f"{what} is known here", hint="`atek pair` on the home shows a code: `atek connect CODE`")


async def _connect(
    folder: Path,
    sockets: Path,
    homes: HomesFile,
    code: Code | None,
    home: Home | None,
    port: int,
    name: str | None,
) -> None:
    from reconciler.remote.program import running
    from reconciler.remote.visit import pair, serve

    bootstrap = code.bootstrap if code else home.bootstrap if home else ()
    async with running(folder, sockets, bootstrap, partial(print, flush=True)) as client:
        if code is not None:
            home = await pair(client, code, name or os.uname().nodename, sockets)
            homes.put(home)
            print(f"paired with {clean(home.name)}", flush=True)
        assert home is not None
        shown = clean(home.name)

        def tell(at: int, is_up: bool) -> None:
            where = f"http://localhost:{at}, its services http://ID.localhost:{at}"
            print(f"{shown} is {where}" if is_up else f"{shown} does not answer; trying again", flush=True)

        await serve(client, home, port, tell)
