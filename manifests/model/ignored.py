"""Names that are no part of a package or of a folder of manifests, wherever they turn up. Pure.

One list for all who look at what a person works in: the digest of a package, its copy and its watching, a
push, folders of manifests. What a tool makes again by itself, what an editor leaves while it writes, what an
operating system or a synchroniser adds: none of it is a new revision. A name is on the list only if nobody
gives it to a file that a program needs; vim's test file 4913, which lives a millisecond, is not.
"""

from __future__ import annotations

import fnmatch
import re

#: What package managers, interpreters and repositories make.
_MADE = (".git", ".hg", ".svn", ".jj", "node_modules", ".venv", "venv", "__pycache__")
#: Caches of test runners, linters, type checkers and bundlers.
_CACHES = (
    ".pytest_cache", ".ruff_cache", ".mypy_cache", ".pytype", ".pyre", ".hypothesis", ".import_linter_cache",
    ".tox", ".nox", ".coverage", ".coverage.*", ".nyc_output", ".eslintcache", ".stylelintcache",
    ".ipynb_checkpoints", ".sass-cache",
)  # fmt: skip
#: vim and neovim; Emacs (lock, autosave, backup); Kate; GTK's editors; nano and joe; JetBrains; LibreOffice.
_EDITORS = (
    "*.swp", "*.swo", "*.swn", "*.swm", "*.swx", "*.swpx", "*~", ".#*", "#*#", "*.kate-swp",
    ".goutputstream-*",
    ".gedit-save-*", "DEADJOE", "*___jb_tmp___", "*___jb_old___", ".~lock.*#", "~$*",
    ".idea", ".vscode", ".vs", ".fleet", ".zed", "*.sublime-workspace",
)  # fmt: skip
#: macOS and what it puts on foreign disks, Windows, Linux desktops, files that are open though deleted.
_SYSTEMS = (
    ".DS_Store", "._*", ".AppleDouble", ".Spotlight-V100", ".Trashes", ".fseventsd", ".TemporaryItems",
    ".DocumentRevisions-V100", "Thumbs.db", "ehthumbs.db", "desktop.ini", "Desktop.ini", "$RECYCLE.BIN",
    ".Trash-*", ".directory", ".nfs*", ".fuse_hidden*",
)  # fmt: skip
#: Syncthing, Dropbox, rsync.
_SYNCHRONISERS = (
    ".syncthing.*.tmp", "~syncthing~*.tmp", ".stfolder", ".stversions", ".dropbox", ".dropbox.cache",
    ".~tmp~",
)  # fmt: skip

#: Patterns of the shell, each about one name at any depth.
IGNORED = (*_MADE, *_CACHES, *_EDITORS, *_SYSTEMS, *_SYNCHRONISERS)

_IGNORED = re.compile("|".join(fnmatch.translate(pattern) for pattern in IGNORED))


def is_ignored(name: str) -> bool:
    """Whether a file or folder of this name counts for nothing, with all that is in it."""
    return _IGNORED.match(name) is not None
