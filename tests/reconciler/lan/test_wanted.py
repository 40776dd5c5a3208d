"""What is listened on: nothing of the network before there are people, and each port for one service."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.lan.wanted import Listener, Port, Situation, is_loopback, wanted
from reconciler.state.listening import Place
from runtimes.loopback import LOOPBACK

ADDRESSES = ("192.168.1.5", "fd00::5")
EVERY = (Place("0.0.0.0"), Place("::", 443))

ports = st.builds(Port, st.integers(0, 2), st.sampled_from("abc"), st.integers(8000, 8003), st.booleans())
situations = st.builds(
    Situation,
    port=st.just(2835),
    listen=st.lists(
        st.builds(Place, st.sampled_from(("0.0.0.0", "::", "192.168.1.5", "127.0.0.1")), st.integers(0, 3))
    ).map(tuple),
    people=st.booleans(),
    tls=st.booleans(),
    addresses=st.sampled_from([(), ADDRESSES]),
    ports=st.frozensets(ports, max_size=4).filter(
        lambda each: len({port.service for port in each}) == len(each)
    ),
)


@given(situations)
def test_nothing_but_loopback_is_open_without_people(now: Situation) -> None:
    found = wanted(now).listeners
    for each in found:
        assert each.network == (not is_loopback(each.address))
        assert not each.network or (now.people and each.tls == now.tls)
        assert each.network or not each.tls


@given(situations)
def test_a_place_is_one_listeners_and_a_port_one_services(now: Situation) -> None:
    found = wanted(now)
    places = [(each.address, each.port) for each in found.listeners]
    assert len(places) == len({*places})
    owners = {(each.port, each.service) for each in found.listeners if each.service}
    assert len(owners) == len({port for port, _ in owners})
    for port in now.ports:
        opened = {each for each in found.listeners if each.service == port.service}
        assert opened or port.service in found.refused
        assert {each.port for each in opened} <= {port.number}


def test_an_entry_stands_for_all_addresses_of_its_kind() -> None:
    found = wanted(Situation(2835, EVERY, people=True, tls=True, addresses=ADDRESSES))
    assert found.listeners == {
        Listener("192.168.1.5", 2835, tls=True, network=True),
        Listener("fd00::5", 443, tls=True, network=True),
    }
    assert found.problem == ""


def test_without_people_it_is_said_what_is_waited_for() -> None:
    found = wanted(Situation(2835, EVERY, addresses=ADDRESSES))
    assert found.listeners == frozenset()
    assert "0.0.0.0:2835, [::]:443 is opened once there is a person" in found.problem
    assert wanted(Situation(2835)).problem == ""


def test_a_services_port_is_everywhere_where_the_node_listens() -> None:
    port = frozenset({Port(0, "notes", 8123)})
    loopback = {Listener(address, 8123, "notes") for address in LOOPBACK}
    found = wanted(Situation(2835, EVERY, people=True, addresses=ADDRESSES, ports=port))
    assert {each for each in found.listeners if each.service} == loopback | {
        Listener(address, 8123, "notes", network=True) for address in ADDRESSES
    }
    assert not found.refused
    found = wanted(Situation(2835, EVERY, ports=port))
    assert found.listeners == loopback
    assert found.refused["notes"].reason == "NobodyToSignIn"
    found = wanted(Situation(2835, people=True, ports=port))
    assert found.listeners == loopback
    assert found.refused["notes"].reason == "NotListening"


def test_of_two_that_want_one_port_the_one_with_precedence_has_it() -> None:
    wishes = frozenset({Port(1, "a", 8123), Port(0, "b", 8123), Port(0, "c", 2835), Port(0, "d", 443)})
    found = wanted(Situation(2835, EVERY, people=True, addresses=ADDRESSES, ports=wishes))
    assert {each.service for each in found.listeners if each.service} == {"b"}
    assert found.refused["a"].message == "port 8123 is b's"
    assert found.refused["c"].message == "port 2835 is the node's"
    assert {each.reason for each in found.refused.values()} == {"PortConflict"}


def test_services_of_others_get_no_port_of_this_machine() -> None:
    wishes = frozenset({Port(0, "a", 8123, own=False), Port(1, "b", 8123)})
    found = wanted(Situation(2835, EVERY, people=True, addresses=ADDRESSES, ports=wishes))
    assert found.refused["a"].reason == "NotOwn"
    assert {each.service for each in found.listeners if each.service} == {"b"}


def test_another_loopback_address_needs_nobody() -> None:
    listen = (Place("127.0.0.1", 9000), Place("127.0.0.1"), Place("::1", 2835))
    assert wanted(Situation(2835, listen)).listeners == {Listener("127.0.0.1", 9000)}
