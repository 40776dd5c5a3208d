"""How a manifest chooses nodes: by their names, or by a label that they have."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from manifests.model.base import DNS_LABEL, Model, Text, not_a


def _dns_label(name: str) -> str:
    if not DNS_LABEL.fullmatch(name):
        raise not_a(name, "the name of a node or label", "small letters, digits and -, at most 63 of them")
    return name


NodeName = Annotated[Text, AfterValidator(_dns_label)]


class Label(Model):
    """All nodes that have this label."""

    label: NodeName
