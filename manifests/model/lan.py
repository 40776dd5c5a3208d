"""`lan: {port: 8123}`: a port of the node's own for one service, where names cannot have sub-names. Pure.

Routers at home know `pi.local`, and seldom `notes.pi.local`. A port is no part of what an instance depends
on: it holds at once, and makes no new revision.
"""

from __future__ import annotations

from pydantic import Field

from manifests.model.base import Model


class Lan(Model):
    """How a service is reached on the network beside its host name: signed in like there."""

    port: int = Field(ge=1, le=65535)
