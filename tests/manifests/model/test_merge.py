"""One desired state out of many snapshots."""

from __future__ import annotations

import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from manifests.model.manifest import Manifest
from manifests.model.merge import Merged, merge
from manifests.model.snapshot import Declared, Snapshot, SourceKind
from manifests.model.spec import Dependency

KINDS: tuple[SourceKind, ...] = ("config", "file", "git", "record", "follow")


def declared(service: str, *depends_on: str, file: str = "f.yaml") -> Declared:
    dependencies = tuple(Dependency(id=other) for other in depends_on)
    # Without validation: the oracle may also want services that depend on themselves.
    manifest = Manifest.model_construct(id=service, source=".", depends_on=dependencies)
    return Declared(manifest, "/home", file)


def snapshot(name: str, kind: SourceKind = "file", *services: Declared, known: bool = True) -> Snapshot:
    return Snapshot(name, kind, services=services, known=known)


def test_precedence_by_kind_whatever_the_order() -> None:
    all_kinds = [snapshot(kind, kind, declared("a", file=kind)) for kind in KINDS]
    for order in (all_kinds, all_kinds[::-1]):
        merged = merge(order)
        assert merged.services["a"].source == "config"
        assert set(merged.conflicts) == set(KINDS[1:])


def test_the_first_source_of_a_kind_wins_and_the_loser_hears_of_both_files() -> None:
    first = snapshot("one", "file", declared("a", file="one/a.yaml"))
    second = snapshot("two", "file", declared("a", file="two/a.yaml"), declared("b"))
    merged = merge([first, second])
    assert merged.services["a"].declared is first.services[0]
    assert merged.services["b"].declared is second.services[1]
    assert [str(conflict) for conflict in merged.conflicts["two"]] == [
        "two/a.yaml: a is declared already in one by one/a.yaml, which wins"
    ]


def test_twice_in_one_folder() -> None:
    merged = merge([snapshot("s", "file", declared("a", file="a.yaml"), declared("a", file="b.yaml"))])
    assert merged.services["a"].declared.file == "a.yaml"
    assert [str(conflict) for conflict in merged.conflicts["s"]] == [
        "b.yaml: a is declared already by a.yaml, which wins"
    ]


def test_a_source_that_was_never_read_makes_it_incomplete() -> None:
    assert merge([]).complete
    assert merge([snapshot("s")]).complete
    assert not merge([snapshot("s"), snapshot("t", known=False)]).complete


def test_a_cycle_is_told_to_each_on_it_and_to_nobody_else() -> None:
    merged = merge(
        [
            snapshot(
                "s", "file", declared("a", "b"), declared("b", "c"), declared("c", "a"), declared("d", "a")
            )
        ]
    )
    assert merged.cycles == {
        "a": ("a", "b", "c", "a"),
        "b": ("b", "c", "a", "b"),
        "c": ("c", "a", "b", "c"),
    }


def test_a_cycle_can_go_across_sources_and_ends_with_a_missing_one() -> None:
    cyclic = [snapshot("s", "file", declared("a", "b")), snapshot("t", "record", declared("b", "a"))]
    assert set(merge(cyclic).cycles) == {"a", "b"}
    assert merge(cyclic[:1]).cycles == {}


def test_a_chain_longer_than_any_stack() -> None:
    chain = [declared(f"s{number}", f"s{number + 1}") for number in range(20_000)]
    assert merge([snapshot("s", "file", *chain)]).cycles == {}
    around = [*chain, declared("s20000", "s0")]
    assert len(merge([snapshot("s", "file", *around)]).cycles) == 20_001


def test_many_services_are_cheap() -> None:
    """Far from a benchmark: it only fails when the cost is no longer proportional to the number."""
    services = [declared(f"s{number}", f"s{number // 2}" if number > 1 else "db") for number in range(1000)]
    before = time.process_time()
    for _ in range(10):
        merge([snapshot("s", "file", *services)])
    assert time.process_time() - before < 1


_IDS = st.sampled_from("abcdefg")
_DECLARED = st.builds(lambda service, others: declared(service, *others), _IDS, st.lists(_IDS, max_size=3))
_SNAPSHOTS = st.lists(
    st.builds(
        lambda kind, services: (kind, tuple(services)),
        st.sampled_from(KINDS),
        st.lists(_DECLARED, max_size=6),
    ),
    max_size=5,
).map(lambda found: [Snapshot(f"s{n}", kind, services=services) for n, (kind, services) in enumerate(found)])


@given(_SNAPSHOTS)
def test_every_declaration_wins_or_is_reported(snapshots: list[Snapshot]) -> None:
    merged = merge(snapshots)
    everything = [one for snapshot in snapshots for one in snapshot.services]
    lost = [conflict for found in merged.conflicts.values() for conflict in found]
    assert set(merged.services) == {one.manifest.id for one in everything}
    assert len(merged.services) + len(lost) == len(everything)
    assert merged == merge(snapshots)
    for service, winner in merged.services.items():
        expected = min(
            (KINDS.index(snapshot.kind), number, place)
            for number, snapshot in enumerate(snapshots)
            for place, one in enumerate(snapshot.services)
            if one.manifest.id == service
        )
        number, place = expected[1:]
        assert winner.declared is snapshots[number].services[place]
        assert winner.source == snapshots[number].source


@given(_SNAPSHOTS, st.randoms())
def test_sources_of_different_kinds_may_come_in_any_order(snapshots: list[Snapshot], random: object) -> None:
    distinct = list({one.kind: one for one in snapshots}.values())
    shuffled = sorted(distinct, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert _essence(merge(distinct)) == _essence(merge(shuffled))


def _essence(merged: Merged) -> tuple[object, ...]:
    """Without the order in which services are listed, which is the only thing that may differ."""
    return dict(merged.services), dict(merged.conflicts), dict(merged.cycles), merged.complete


@given(st.lists(_DECLARED, max_size=7, unique_by=lambda one: one.manifest.id))
def test_cycles_are_those_of_the_reachability_oracle(services: list[Declared]) -> None:
    edges = {one.manifest.id: {other.id for other in one.manifest.depends_on} for one in services}
    reach = {node: set(targets) & set(edges) for node, targets in edges.items()}
    for _ in edges:
        for node in reach:
            reach[node] |= {far for near in reach[node] for far in reach[near]}
    cycles = merge([snapshot("s", "file", *services)]).cycles
    assert set(cycles) == {node for node in edges if node in reach[node]}
    for node, way in cycles.items():
        assert way[0] == way[-1] == node
        assert all(target in edges[origin] for origin, target in pairwise(way))
        assert len(set(way)) == len(way) - 1
