"""What the tools see that fetch and build packages: a service's own variables, and the way to registries.

Nothing else of the node's environment reaches them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from manifests.model.expansion import expanded_where_known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from manifests.model.service import Service

#: What of the node's own environment a tool may see: where packages come from, and how to reach it.
_PASSED_ON = ("PATH", "HOME", "LANG", "USER", "LOGNAME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PASSED_PREFIXES = ("npm_config_", "uv_", "pip_", "node_extra_ca_certs", "requests_ca_bundle")
#: How tools are told of a proxy; in any spelling.
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def tool_environment(path: Sequence[str] = (), **more: str) -> dict[str, str]:
    """The node's settings for package registries and proxies, and little else."""
    passed = {name: value for name, value in os.environ.items() if _is_passed_on(name)}
    passed["PATH"] = os.pathsep.join([*path, passed.get("PATH", os.defpath)])
    return {**passed, **more}


def build_environment(
    service: Service, path: Sequence[str] = (), inherited: Mapping[str, str] | None = None, /, **own: str
) -> dict[str, str]:
    """What the tools see that install and build a service's package: its own variables, and theirs.

    A build may read what the program reads later, but nothing that only a running instance has: no token, no
    port, no folder of data. `own` is what the preparation itself depends on (where the cache is), which no
    spelling of a name changes. `path` is searched first, then the service's own PATH. `inherited` is
    what they see of the node's variables, left out: `tool_environment`.
    """
    kept = {name.lower() for name in own}
    inherited = tool_environment() if inherited is None else inherited
    # What refers to something that only a running instance has is not there while it is built.
    there: dict[str, str] = {name: inherited[name] for name in ("PATH", "LANG") if name in inherited}
    found = expanded_where_known(service.manifest, there)
    env = {name: value for name, value in found.items() if name.lower() not in kept}
    searched = env.pop("PATH", inherited["PATH"])
    return {**inherited, **env, **own, "PATH": os.pathsep.join([*path, searched])}


def _is_passed_on(name: str) -> bool:
    small = name.lower()
    return name in _PASSED_ON or small in PROXIES or small.startswith(_PASSED_PREFIXES)
