"""The system APIs of a real node, put together."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from reconciler.apis.declare import Declarations
from reconciler.apis.handler import system_apis
from reconciler.apis.inspect import InspectApi
from reconciler.apis.params import InstallOptions
from reconciler.apis.services import ServicesApi
from reconciler.apis.users import UsersApi

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.apis.port import ApiNode
    from reconciler.apis.repositories import GitRepositories
    from reconciler.http.messages import Handler
    from reconciler.people.model import Person
    from reconciler.state.installed import InstalledServices

#: Of the time that the router gives an answer, what a call may wait for the world.
_SHARE = 0.9


def make_system_apis(
    node: ApiNode,
    installed: InstalledServices,
    identity: Callable[[str], Mapping[str, str]],
    config: Mapping[str, Any],
    *,
    repositories: GitRepositories,
    answer_timeout: float,
    main_service: str | None = None,
    otherwise: Handler,
) -> Handler:
    """What the router forwards to the node.

    `identity` is a service's own (its `key` is told), `config` what `public_config` makes, `answer_timeout`
    the router's in seconds; `main_service` is the URL of what everybody gets who is made. What is no API's
    goes to `otherwise`.
    """
    declarations = Declarations(
        node, installed.home, installed, lambda each: identity(each)["key"], repositories
    )
    services = ServicesApi(node, declarations, patience=_SHARE * answer_timeout)
    install_main = partial(_install_main, declarations, main_service) if main_service else None
    users = UsersApi(node.people, install_main)
    return system_apis(services, InspectApi(node, config), users, node.people, otherwise=otherwise)


async def _install_main(declarations: Declarations, url: str, person: Person) -> str:
    manifest = await declarations.install(InstallOptions(source_url=url), person.key, person.key)
    return manifest.id
