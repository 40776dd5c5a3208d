"""`[[notify]]` of the config file: whom to tell what, and when. Pure."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from manifests.model.base import Model, Text
from manifests.model.spec import Duration

#: What people are told of; see `reconciler.notify.facts` for when each of them is so.
Kind = Literal["Stalled", "Reverted", "Updated", "NodeAway", "DiskLow"]

_TIME = r"([01][0-9]|2[0-3]):([0-5][0-9])"
_QUIET = re.compile(f"{_TIME}-{_TIME}")


class NotifySettings(Model):
    """One address. `url` has Apprise's syntax: `ntfy://host/topic`, `mailto://…`, `json://…`.

    `digest` collects for so long what is told together; `quiet`: "22:00-07:00", by this machine's clock,
    when nobody is told anything until it is over. `services`: patterns of ids, where `*` is anything.
    """

    url: Text = Field(min_length=1)
    on: tuple[Kind, ...] = ("Stalled", "Reverted", "NodeAway", "DiskLow")
    services: tuple[Text, ...] = ("*",)
    digest: Duration = Field(default=0.0, ge=0, le=7 * 86400)
    quiet: Text = ""

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        # The rest is a secret: no message repeats it.
        if not re.match(r"[a-z][a-z0-9+.-]*://\S", url, re.IGNORECASE) or any(map(str.isspace, url)):
            raise ValueError("an address is a URL such as ntfy://ntfy.example.com/my-topic")
        return url

    @field_validator("quiet")
    @classmethod
    def _is_span(cls, quiet: str) -> str:
        if quiet and not _QUIET.fullmatch(quiet):
            raise ValueError("quiet hours are written like 22:00-07:00")
        return quiet

    @property
    def quiet_minutes(self) -> tuple[int, int]:
        """When they begin and end, in minutes since midnight; equal where there are none."""
        found = _QUIET.fullmatch(self.quiet)
        if found is None:
            return 0, 0
        begin_hour, begin, end_hour, end = map(int, found.groups())
        return begin_hour * 60 + begin, end_hour * 60 + end
