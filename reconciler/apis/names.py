"""From the URL of a package to its source, and to an id for who gave none. Changes nothing."""

from __future__ import annotations

import itertools
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from manifests.model.git import is_git, parse_git
from manifests.packages.resolve import read_atek_json
from reconciler.apis.caller import BAD_PARAMS
from reconciler.errors import UserError
from reconciler.http.jsonrpc import RpcError

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_ID = 63


def source_of(source_url: str) -> str:
    """What a manifest says for a URL: the folder that a file URL names, or a repository.

    Raises UserError, or RpcError for what is neither.
    """
    if is_git(source_url):
        try:
            return str(parse_git(source_url))
        except ValueError as error:
            raise UserError(str(error)) from error
    url = urlsplit(source_url) if source_url.lower().startswith("file://") else None
    if url is None or url.netloc not in ("", "localhost") or url.query or url.fragment:
        raise RpcError(
            BAD_PARAMS,
            "sourceUrl must be the URL of a folder or a repository, like file:///home/me/notes",
        )
    folder = os.path.normpath(unquote(url.path) or "/")
    if "\0" in folder or not os.path.isdir(folder):
        raise UserError(f"there is no folder {folder}", hint="the node, not the caller, has to see it")
    return folder


def free_id(source: str, taken: Callable[[str], bool]) -> str:
    """The source's name as an id, else that in its atek.json, else `app`; with a number if it is taken."""
    base = _repository_label(source) if is_git(source) else _folder_label(source)
    ids = itertools.chain([base], (_with_number(base, number) for number in itertools.count(2)))
    return next(each for each in ids if not taken(each))


def _folder_label(folder: str) -> str:
    name = read_atek_json(folder).get("name")
    return _label(os.path.basename(folder)) or _label(name if isinstance(name, str) else "") or "app"


def _repository_label(source: str) -> str:
    package = parse_git(source)
    return _label(os.path.basename(package.folder or package.url.rstrip("/")).removesuffix(".git")) or "app"


def _with_number(base: str, number: int) -> str:
    suffix = f"-{number}"
    return base[: _LONGEST_ID - len(suffix)].rstrip("-") + suffix


def _label(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:_LONGEST_ID].strip("-")
