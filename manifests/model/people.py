"""`access` and `signIn`: which people may see a service, and how it hears who they are. Pure.

    access: members            private | members | public, or the names of those who may
    signIn: {header: Remote-User}

Neither is anything that a running instance depends on: both hold at once, and make no new revision.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from manifests.model.base import MOST_ITEMS, Model, Text

_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
#: What a request needs for itself, and what the node says in its own way.
_TAKEN = re.compile(
    r"(?i)host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|content-.*|expect|authorization|cookie2?"
    r"|origin|referer|range|date|via|forwarded|x-forwarded-(for|host|proto)|x-real-ip|x-request-id|traceparent"
    r"|accept(-.*)?|if-.*|sec-.*|access-control-.*|proxy(-.*)?|atek-.*"
)


def _field_name(name: str) -> str:
    if not _FIELD_NAME.fullmatch(name) or _TAKEN.fullmatch(name):
        raise ValueError("it is the name of a header that says who somebody is, like Remote-User")
    return name


HeaderName = Annotated[Text, AfterValidator(_field_name)]
#: People by their user names.
Names = Annotated[tuple[Annotated[Text, Field(min_length=1)], ...], Field(max_length=MOST_ITEMS)]
Access = Literal["private", "members", "public"] | Names


class SignIn(Model):
    """Headers that tell a program who is signed in, for programs that let a proxy say so.

    `header` and `name` are the person's user name; `email` is that too where it is an address, else the name
    at the node's domain. Nobody else can send a header of such a name to the service.
    """

    header: HeaderName | None = None
    email: HeaderName | None = None
    name: HeaderName | None = None

    @model_validator(mode="after")
    def _one_each(self) -> SignIn:
        names = [name.lower() for _, name in self.fields]
        if not names:
            raise ValueError("say which header tells who is signed in, like header: Remote-User")
        if len({*names}) < len(names):
            raise ValueError("each header tells one thing")
        return self

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """What of a person is told, and in which header."""
        told = (("header", self.header), ("email", self.email), ("name", self.name))
        return tuple((what, name) for what, name in told if name is not None)
