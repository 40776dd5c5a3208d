"""What git does not tell of a web server: where it sends us to, and what is wrong with its certificate.

One request without a way on: nothing is followed here. The token is shown to the server only that it is for.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from manifests.model.git_source import checked_url
from reconciler.gitops.git import ASK
from reconciler.gitops.troubles import AGAIN, GitTrouble
from reconciler.http.outside import NoAnswer, ask

if TYPE_CHECKING:
    from manifests.model.git_source import GitSource
    from reconciler.gitops.git import Access

_SERVICE = "/info/refs?service=git-upload-pack"


async def moved_to(source: GitSource, url: str, token: str | None, access: Access) -> str:
    """Where the repository is now, which is the same host as before. Raises GitTrouble: RepositoryMoved.

    Another host, or the same in plain text, is for a person to decide: whoever can answer for the old one
    could send this node anywhere, also to what only this machine reaches.
    """
    location = await _location(source, url, token, access)
    target, ending, _ = location.partition("/info/refs")
    try:
        place = checked_url(target)
    except ValueError:
        raise _moved(url, "to somewhere that is no repository") from None
    if not ending:
        raise _moved(url, f"to {place}, which is no repository")
    old, new = urlsplit(url), urlsplit(place)
    upgraded = (old.scheme, new.scheme, old.port, new.port) == ("http", "https", None, None)
    if (old.scheme, old.netloc) != (new.scheme, new.netloc) and not (upgraded and old.netloc == new.netloc):
        raise _moved(url, f"to {place}")
    return place


async def certificate_trouble(url: str, access: Access) -> GitTrouble | None:
    """What is wrong with a server's certificate as a matter of time; None where it is something else."""
    try:
        await ask(url + _SERVICE, {}, ca_file=access.environment.get("GIT_SSL_CAINFO"), seconds=ASK)
    except NoAnswer as error:
        words = str(error).lower()
        if "expired" in words or "not yet valid" in words:
            what = "has expired" if "expired" in words else "is not valid yet"
            hint = "see whether this machine's clock is right, then ask the server's owner"
            return GitTrouble("CertificateNotValidNow", f"{url}: the server's certificate {what}", hint=hint)
    return None


async def _location(source: GitSource, url: str, token: str | None, access: Access) -> str:
    headers = {}
    if token is not None and source.credentials is not None:
        user = f"{source.credentials.username}:{token}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(user).decode()}"
    ca_file = access.environment.get("GIT_SSL_CAINFO")
    try:
        answer = await ask(url + _SERVICE, headers, ca_file=ca_file, seconds=ASK)
    except NoAnswer as error:
        raise GitTrouble("ServerUnreachable", f"{url}: {error}", hint=AGAIN) from error
    location = answer.headers.get("location", "")
    return urljoin(url + _SERVICE, location) if location else ""


def _moved(url: str, where: str) -> GitTrouble:
    hint = "if that is right, write it as the source's url"
    return GitTrouble("RepositoryMoved", f"{url}: the server sends us {where}", hint=hint)
