"""Somebody who is signed in, on a page of a service's host: the rights of both, and nothing beyond."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from manifests.model.authority import EVERYTHING, allows
from runtimes.router.decide.table import (
    NODE,
    SYSTEM,
    Caller,
    Export,
    ServiceRoute,
    make_table,
    on_page_of,
)

APIS = [
    "atek.cloud/services-api",
    "atek.cloud/adb-api",
    "example.com/notes",
    "example.com/photos",
    "other.org/x",
]
OWN = frozenset(APIS[:1])
TABLE = make_table({NODE: ServiceRoute(NODE, "node", exports=tuple(Export(api, "/") for api in OWN))})

patterns = st.sampled_from([*APIS, "*", "atek.cloud/*", "example.com/*", "*notes", "*x*", "atek.cloud/s*"])
grants = st.none() | st.frozensets(patterns, max_size=3) | st.just(EVERYTHING)
people = st.builds(Caller, st.sampled_from(["ann", "bob"]), st.just(SYSTEM), st.booleans(), grants)
services = st.builds(
    ServiceRoute, st.just("app"), st.just("app-key"),
    allow=st.none() | st.lists(patterns, max_size=3).map(tuple), owner=st.sampled_from([SYSTEM, "ann"]),
)  # fmt: skip


@given(people, services, st.sampled_from(APIS))
def test_it_may_what_both_may(person: Caller, service: ServiceRoute, api: str) -> None:
    page = on_page_of(person, service)
    own = api in OWN
    service_may = allows(service.allow, api, nodes_own=own)
    assert TABLE.may_call(page, api) == (allows(person.allow, api, nodes_own=own) and service_may)


@given(people, services)
def test_it_is_that_person_in_that_service(person: Caller, service: ServiceRoute) -> None:
    page = on_page_of(person, service)
    assert (page.user, page.service) == (person.user, service.key)
    assert page.admin == person.admin


@given(people, services, services, st.sampled_from(APIS))
def test_pages_within_pages_gain_nothing(
    person: Caller, service: ServiceRoute, other: ServiceRoute, api: str
) -> None:
    """The person's own rights go in again, and never those of another page."""
    first = on_page_of(person, service)
    again = on_page_of(person, other)
    if TABLE.may_call(first, api) and TABLE.may_call(again, api):
        assert TABLE.may_call(person, api)


def test_an_apps_page_does_not_administer_the_node_for_its_owner() -> None:
    owner = Caller("ann", SYSTEM, admin=True, allow=EVERYTHING)
    assert TABLE.may_call(owner, APIS[0])
    for allow in (None, (), ("*",), ("example.com/*",)):
        page = on_page_of(owner, ServiceRoute("app", "k", allow=allow))
        assert not TABLE.may_call(page, APIS[0]), allow
    granted = ServiceRoute("app", "k", allow=("atek.cloud/services-api",))
    assert TABLE.may_call(on_page_of(owner, granted), APIS[0])
    guest = Caller("bob", SYSTEM, allow=frozenset({"example.com/notes"}))
    assert not TABLE.may_call(on_page_of(guest, granted), APIS[0])
