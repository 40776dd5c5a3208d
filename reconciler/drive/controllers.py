"""All controllers of a node by their services' ids, and what they know together."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from manifests.model.containers import host_folders
from reconciler.decide.controller import Controller
from reconciler.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.model.service import Package, Service
    from manifests.model.snapshot import Declared


class Controllers(dict[str, Controller]):
    """One for each service that is wanted, runs, or is remembered."""

    def obtain(self, service_id: str) -> Controller:
        """The one controller of that id, made when there is none."""
        controller = self.get(service_id)
        if controller is None:
            controller = self[service_id] = Controller(service_id)
        return controller

    def known(self, service_id: str) -> Controller:
        """That of a service that a person named. Raises UserError."""
        controller = self.get(service_id)
        if controller is None:
            near = difflib.get_close_matches(service_id, self, n=1)
            hint = f"did you mean {near[0]}?" if near else "`atek status` lists all services"
            raise UserError(f"there is no service {service_id}", hint=hint)
        return controller

    def declared(self) -> Mapping[str, Declared]:
        """Id → the declaration that the node works towards, or says why it cannot."""
        return {each.id: each.wish.declared for each in self.values() if each.wish.declared}

    def used_services(self) -> Mapping[str, Service]:
        """Id → what is wanted of a service, or else was healthy last."""
        used = ((each.id, each.used_services()) for each in self.values())
        return {service_id: services[0] for service_id, services in used if services}

    def known_services(self, service_id: str) -> list[Service]:
        """What is wanted of a service, was healthy last, is being made ready, or runs."""
        controller = self.get(service_id)
        return controller.used_services() if controller is not None else []

    # -- packages

    def ran_from(self, service_id: str) -> str:
        """The folder of the package that ran of a service last; empty when none did."""
        controller = self.get(service_id)
        services = controller.used_services() if controller else ()
        return next((each.package.path for each in services if each.package), "")

    def packages_of(self, service_id: str) -> list[Package]:
        """Those that a service runs from, or ran from last."""
        controller = self.get(service_id)
        if controller is None:
            return []
        running = [each.running.service for each in controller.instances.values()]
        return [each.package for each in (*running, *controller.used_services()) if each.package]

    def packages_in_use(self) -> set[str]:
        """The folders of packages, and others, that something runs from, or may run from again."""
        services = [service for controller in self.values() for service in controller.used_services()]
        folders = {folder for each in services for folder in host_folders(each.manifest.volumes)}
        return folders | {service.package.path for service in services if service.package}

    # -- sources

    def ran_for(self, service_id: str) -> set[str]:
        """The sources of what ran of a service last, as far as that is known."""
        controller = self.get(service_id)
        if controller is None:
            return set()
        instances = [each.view.service for each in controller.instances.values()]
        return {service.source for service in (controller.history.healthy, *instances) if service}
