"""What all parts of a manifest have in common."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

#: RFC 1123: what may be a label of a host name, because an id becomes a subdomain.
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Model(BaseModel):
    """Frozen, strict about unknown keys, camelCase outside."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        # Only Manifest is validated on its own; the others need no validator of theirs (saves start-up time).
        defer_build=True,
    )
