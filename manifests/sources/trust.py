"""Whether somebody else could write what this node obeys: its home, its config file, folders of manifests.

Whoever can write there runs programs as the node's user. So it is as with ssh's keys: another owner, or a
file or folder that the group or others may write, is refused. Root may do anything anyway, so what belongs to
root is as good as one's own. The group that a user has alone (most distributions make one, and with it a
umask that lets it write) is nobody else; root's own group is one of many members by tradition.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Distrust:
    """Why something is not obeyed, and what to do about it."""

    message: str
    hint: str


class Distrusted(OSError):
    """Something is not read because of `why`."""

    def __init__(self, why: Distrust) -> None:
        super().__init__(errno.EPERM, why.message)
        self.why = why


def distrust(path: str) -> Distrust | None:
    """What is wrong with a file or folder, with a link that leads to it, or with the folders above.

    None where nothing is, and where there is nothing. Raises OSError.
    """
    try:
        link = os.lstat(path)
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(link.st_mode) and (why := _foreign(path, link)):
        return why
    real = os.path.realpath(path)
    above = map(os.path.dirname, (os.path.abspath(path), real))
    return judge(real, found) or next(filter(None, map(_above, above)), None)


def judge(path: str, found: os.stat_result) -> Distrust | None:
    """The same of a file or folder alone, by what is known of it."""
    if why := _foreign(path, found):
        return why
    if found.st_mode & stat.S_IWOTH:
        return Distrust(f"everybody can write {path}", f"chmod go-w {path}")
    if found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid, os.geteuid()):
        return Distrust(f"the group {_group(found.st_gid)} can write {path}", f"chmod g-w {path}")
    return None


def _foreign(path: str, found: os.stat_result) -> Distrust | None:
    me = os.geteuid()
    if found.st_uid in (me, 0):
        return None
    owner = _user(found.st_uid)
    hint = f"chown -R {_user(me)} {path}, or run the node as {owner}"
    return Distrust(f"{path} belongs to {owner}, and this node runs as {_user(me)}", hint)


def _above(folder: str) -> Distrust | None:
    """A folder in which everybody may rename things is no place; in a sticky one only owners may."""
    while True:
        mode = os.stat(folder).st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return Distrust(f"everybody can write {folder}", f"chmod go-w {folder}")
        if folder == os.path.dirname(folder):
            return None
        folder = os.path.dirname(folder)


@cache
def _is_private(gid: int, uid: int) -> bool:
    """Whether a group is the one that a user, and nobody else, was given with the account."""
    if uid == 0:
        return False
    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    alone = set(group.gr_mem) <= {user.pw_name}
    return alone and user.pw_gid == gid and group.gr_name == user.pw_name


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
