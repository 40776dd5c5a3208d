"""One value of a file as it is written changed into another, and not a character besides. Pure.

Whatever the language: of the places where the old value stands, the one is taken with which the file says
the same as before, but for that value. So a comment that has the value too is left as it is, and where a
value stands for several things, or is put together of several, nothing is changed at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from manifests.model.manifest import Manifest

    #: What a text says; nothing when it is broken.
    Reads = Callable[[str], Sequence[Manifest]]

#: More places than this are not tried.
_MOST = 100


def edit(text: str, reads: Reads, service_id: str, key: str, value: str) -> str | None:
    """The text in which a service's `key`, a field of its manifest, has another value, if there is one."""
    said = reads(text)
    before = next((getattr(each, key) for each in said if each.id == service_id), None)
    if not isinstance(before, str) or not before:
        return None
    wanted = [each.model_copy(update={key: value}) if each.id == service_id else each for each in said]
    at = text.find(before)
    for _ in range(_MOST):
        if at < 0:
            break
        edited = f"{text[:at]}{value}{text[at + len(before) :]}"
        if list(reads(edited)) == wanted:
            return edited
        at = text.find(before, at + 1)
    return None
