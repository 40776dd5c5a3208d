"""What a source may bring here that is not the owner's: one model for follows and Git sources. Pure.

    trust = own        one's other machines: as one's own files, but for what else the policy says
    trust = foreign    what others wrote: `FOREIGN`, where the policy says nothing else
    left out           a follow of earlier versions: what is left out is not limited

`judgement` holds a manifest against it, `rights` says what it asks for beyond, and `terms` tells it in words.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from manifests.model.base import MOST_ITEMS, Model, Text, not_a
from manifests.model.confined import Binds, Destinations
from manifests.model.spec import Cores, OpenFiles, Processes, Size

Sandbox = Literal["none", "private", "strict"]
_PATTERN_LENGTH = 255


def _pattern(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text or not 0 < len(text) <= _PATTERN_LENGTH:
        raise not_a(text, "a pattern", "an id or an API, with * for anything, like lab-* or example.com/*")
    if any(character in text for character in "?[]"):
        raise not_a(text, "a pattern", "* for anything: it is the only wildcard")
    return text


Patterns = Annotated[tuple[Annotated[Text, AfterValidator(_pattern)], ...], Field(max_length=MOST_ITEMS)]


class Policy(Model):
    """What is left out is not limited by it, but for what `trust` says; an empty list allows none.

    `ids` and `apis` are patterns. `apis` bound what a service exports as well as what it calls, unless
    `calls` say the latter. Limits are those of `resources` in a manifest, for one instance. `services` and
    `replicas`: how many all of the source together may have. `sandbox`: the least. `egress`, `binds`,
    `ports`: what its programs may have of that without asking. `grants`: what they want beyond is asked for
    (`ask`), or refused. `open_ports`: other machines may reach what its containers publish. `secrets`: what
    is encrypted for this node may be decrypted for its services. `status_only`: nothing of the other node's
    is run. `allow_empty`: services go also when all records were lost instead of deleted.
    """

    trust: Literal["own", "foreign"] | None = None
    runtimes: tuple[Literal["node", "python", "docker", "process"], ...] | None = Field(
        default=None, max_length=MOST_ITEMS
    )
    ids: Patterns | None = None
    apis: Patterns | None = None
    calls: Patterns | None = None
    sandbox: Sandbox | None = None
    egress: bool | Destinations | None = None
    binds: Binds | None = None
    ports: (
        Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], Field(max_length=MOST_ITEMS)] | None
    ) = None
    memory: Size | None = None
    cpu: Cores | None = None
    pids: Processes | None = None
    open_files: OpenFiles | None = None
    disk: Size | None = None
    log_rate: Size | None = None
    services: Annotated[int, Field(ge=0, le=100_000)] | None = None
    replicas: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    grants: Literal["ask", "refuse"] | None = None
    open_ports: bool = False
    secrets: bool = False
    status_only: bool = False
    allow_empty: bool = False

    def to_json(self) -> dict[str, Any]:
        """A plain value that `model_validate` reads back; only what is limited stands in it."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    @property
    def whole(self) -> Policy:
        """With what `trust` says in the place of what is left out."""
        if self.trust != "foreign":
            return self
        missing = {name: value for name, value in FOREIGN.items() if getattr(self, name) is None}
        if self.apis is not None and "calls" in missing:
            missing["calls"] = self.apis
        return self.model_copy(update=missing) if missing else self


#: Of a source that is not the owner's, where he says nothing else.
FOREIGN: dict[str, Any] = {
    "runtimes": ("node", "python"), "calls": (), "sandbox": "strict", "egress": (), "binds": (), "ports": (),
    "memory": 256 * 2**20, "pids": 512, "open_files": 4096, "disk": 2**30, "log_rate": 2**18,
    "services": 10, "replicas": 20, "grants": "ask",
}  # fmt: skip
