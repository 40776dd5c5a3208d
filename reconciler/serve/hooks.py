"""`POST /_atek/hooks/git/NAME`: a Git server says that somebody pushed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.http.messages import Response, json_response

if TYPE_CHECKING:
    from reconciler.gitops.port import Hooked
    from reconciler.http.messages import Handler, Request
    from reconciler.port import NodeApi

PREFIX = "/_atek/hooks/git/"
#: Servers show people what they were told.
_TOLD: dict[Hooked, tuple[int, str]] = {
    "Rung": (202, "it is looked at"),
    "Repeated": (200, "it is known already"),
    "TooOften": (429, "too many at once; it is looked at anyway"),
    "Unsigned": (401, "the signature is not right"),
    "Unknown": (404, "there is no such source, or it takes no hooks: hookSecretFile lets it"),
}


def hooks(node: NodeApi, *, otherwise: Handler) -> Handler:
    """Takes hooks; what else is asked for goes to `otherwise`."""

    async def handle(request: Request) -> Response:
        if not request.path.startswith(PREFIX):
            return await otherwise(request)
        if request.method != "POST":
            told = {"error": True, "message": "hooks are sent by POST"}
            return json_response(405, told, headers={"allow": "POST"})
        name = request.path.removeprefix(PREFIX)
        status, message = _TOLD[node.git.hook(name, request.headers, request.body)]
        return json_response(status, {"error": status >= 400, "message": message})

    return handle
