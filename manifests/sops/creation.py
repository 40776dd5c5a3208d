"""`.sops.yaml`: for whom a new file is, and what of it is encrypted, by its path below that file.

The first of the `creation_rules` holds that has no `path_regex` or one that is found in the path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from manifests.sops import yaml_store
from manifests.sops.metadata import OTHERS
from manifests.sops.rules import DEFAULT, Rule, read_rule, search
from manifests.sops.tree import Branch
from manifests.sops.trouble import SopsTrouble

NAME = ".sops.yaml"
_OTHERS = {**OTHERS, "azure_keyvault": OTHERS["azure_kv"], "hc_vault_transit_uri": OTHERS["hc_vault"]}


@dataclass(frozen=True, slots=True)
class Creation:
    """How a file is made."""

    recipients: tuple[str, ...]
    rule: Rule = DEFAULT
    mac_only_encrypted: bool = False


def choose(text: str, path: str) -> Creation:
    """What it says of the file at `path`, relative to its own folder. Raises SopsTrouble."""
    document = yaml_store.plain((yaml_store.load(text, written=True) or [Branch()])[0])
    rules = document.get("creation_rules")
    for number, rule in enumerate(rules if isinstance(rules, list) else (), 1):
        if not isinstance(rule, dict):
            raise SopsTrouble("BrokenFile", f"the creation rule {number} of {NAME} is no table")
        pattern = rule.get("path_regex")
        if pattern in (None, "") or search(str(pattern))(path):
            return _creation(rule)
    raise SopsTrouble("NoRule", f"no creation rule of {NAME} is for {path}", "add one, with age: recipients")


def _creation(rule: dict[str, Any]) -> Creation:
    groups = rule.get("key_groups")
    if isinstance(groups, list) and groups:
        if len(groups) > 1:
            raise SopsTrouble("NotSupported", "several key groups are not supported", "use sops itself")
        rule = {**rule, **groups[0]} if isinstance(groups[0], dict) else rule
    others = [name for key, name in _OTHERS.items() if rule.get(key)]
    if others:
        raise SopsTrouble(
            "NotSupported", f"{NAME} wants {' and '.join(others)}, too, for which only sops encrypts"
        )
    recipients = _recipients(rule.get("age"))
    if not recipients:
        raise SopsTrouble("NoRecipients", f"the creation rule of {NAME} names no age recipient")
    only = rule.get("mac_only_encrypted") is True
    return Creation(recipients, read_rule(rule) or DEFAULT, only)


def _recipients(value: object) -> tuple[str, ...]:
    """A text with commas, or a list."""
    texts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(dict.fromkeys(text for each in texts if (text := str(each).strip())))
