"""From the URL of a package to its folder, and to an id for who gave none. Changes nothing."""

from __future__ import annotations

import itertools
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from manifests.resolve import read_atek_json
from reconciler.api import UserError
from reconciler.apis.caller import BAD_PARAMS
from reconciler.apis.jsonrpc import RpcError

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_ID = 63
_GIT = re.compile(r"(git\+\S+|git@\S+|(https?|ssh|git)://\S+)", re.IGNORECASE)


def folder_of(source_url: str) -> str:
    """The folder that a file URL names. Raises UserError, or RpcError for what is no URL of a folder."""
    if _GIT.fullmatch(source_url):
        raise UserError(
            f"{_without_password(source_url)} is for packages from Git, which this version does not have yet",
            hint="clone it, and install the folder: file:///home/me/notes",
        )
    url = urlsplit(source_url) if source_url.lower().startswith("file://") else None
    if url is None or url.netloc not in ("", "localhost") or url.query or url.fragment:
        raise RpcError(BAD_PARAMS, "sourceUrl must be the URL of a folder, like file:///home/me/notes")
    folder = os.path.normpath(unquote(url.path) or "/")
    if "\0" in folder or not os.path.isdir(folder):
        raise UserError(f"there is no folder {folder}", hint="the node, not the caller, has to see it")
    return folder


def free_id(folder: str, taken: Callable[[str], bool]) -> str:
    """The folder's name as an id, else that in its atek.json, else `app`; with a number if it is taken."""
    name = read_atek_json(folder).get("name")
    base = _label(os.path.basename(folder)) or _label(name if isinstance(name, str) else "") or "app"
    ids = itertools.chain([base], (_with_number(base, number) for number in itertools.count(2)))
    return next(each for each in ids if not taken(each))


def _with_number(base: str, number: int) -> str:
    suffix = f"-{number}"
    return base[: _LONGEST_ID - len(suffix)].rstrip("-") + suffix


def _label(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:_LONGEST_ID].strip("-")


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)
