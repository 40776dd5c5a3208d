"""`atek key`, `follow`, `unfollow` and `adopt`: this node among others."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

from hyper.encoding.link import Link, format_link
from manifests.model.policy import Policy
from reconciler.peers.port import Follow
from tests.reconciler.cli.atek import Atek, running_node
from tests.reconciler.fakes import FakeNode, condition, service

if TYPE_CHECKING:
    from tests.reconciler.fake_nodes import Pair

KEY, NOISE = "4f" * 32, "9a" * 32
FOREIGN = Policy(trust="foreign")
LINK = f"hyper://{KEY}?noise={NOISE}&at=10.0.0.7:49737"


def link_of(pair: Pair) -> str:
    """The one that `atek key` shows on the pi."""
    keys = pair.do(pair.pi.keys)
    return format_link(Link(keys.records, keys.noise, keys.address))


def only_follow(pair: Pair) -> Follow:
    (follow,) = pair.laptop.follows()
    return follow


@pytest.mark.parametrize(
    "words",
    [
        "key",
        f"follow {LINK} --yes",
        "status --node pi",
        "push {home}",
        "history",
        "rollback --to 1",
        "backup b",
        "repair",
    ],
)
def test_a_node_without_hypercore_says_what_is_missing(atek: Atek, words: str) -> None:
    with running_node(atek.home, FakeNode()):
        result = atek(*words.format(home=atek.home).split())
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("atek: this node runs without Hypercore\nhint: leave coreServices out")


@pytest.mark.parametrize(
    "words", ["key", "follow", "unfollow pi", "status --node pi", "adopt notes", "repair"]
)
def test_without_a_node_nothing_is_done(atek: Atek, words: str) -> None:
    result = atek(*words.split())
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith(f"atek: no node runs on {atek.home}\nhint: `atek up` starts one")


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("key --json --link", "not allowed with argument"),
        (f"follow {LINK} --cpu half", "half is not a number of cores"),
        (f"follow {LINK} --cpu nan", "nan is not a number of cores"),
        (f"follow {LINK} --pids 1.5", "--pids"),
        ("unfollow", "NAME"),
        ("adopt", "ID"),
    ],
)
def test_wrong_usage(atek: Atek, words: str, wrong: str) -> None:
    result = atek(*words.split())
    assert (result.status, result.out) == (2, "")
    assert wrong in result.err


# Key


def test_the_key(atek: Atek, pair: Pair) -> None:
    keys = pair.do(pair.laptop.keys)
    link = f"hyper://{keys.records}?noise={keys.noise}&at={keys.address}"
    recipient = atek("key", "--recipient").out.strip()
    assert recipient.startswith("age1")
    assert atek("key").out == f"name  laptop\nkey   {keys.records}\nlink  {link}\nage   {recipient}\n"
    assert atek("key", "--link").out == f"{link}\n"
    assert json.loads(atek("key", "--json").out) == {
        "name": "laptop",
        "key": keys.records,
        "link": link,
        "status": keys.status,
        "noise": keys.noise,
        "address": keys.address,
        "recipient": recipient,
    }
    assert stat.S_IMODE((atek.home / "state" / "age.key").stat().st_mode) == 0o600


def test_a_key_that_nobody_can_reach_by_tcp(atek: Atek, pair: Pair) -> None:
    pair.laptop.address = ""
    result = atek("key")
    assert result.out.endswith("`listen` under [hyper] in config.toml says where.\n")
    assert "at=" not in result.out


# Follow


def test_following_and_not_any_more(atek: Atek, pair: Pair) -> None:
    keys = pair.do(pair.pi.keys)
    assert atek("follow", link_of(pair), "--name", "pi", "--yes").out.startswith(
        "pi is followed\n  - it counts"
    )
    assert only_follow(pair) == Follow("pi", keys.records, keys.noise, keys.address, FOREIGN)
    assert atek("unfollow", "pi").out == "pi is followed no longer\n"
    assert pair.laptop.follows() == []


def test_without_a_name_it_is_the_beginning_of_the_key(atek: Atek, pair: Pair) -> None:
    assert atek("follow", LINK, "--runtimes=").out == f"{KEY[:8]} is followed\n"
    assert only_follow(pair) == Follow(
        KEY[:8], KEY, NOISE, "10.0.0.7:49737", FOREIGN.model_copy(update={"runtimes": ()})
    )


@pytest.mark.parametrize(
    ("words", "policy", "shown"),
    [
        ("--yes", {}, "foreign"),
        ("--yes --trust own", {"trust": "own"}, "own"),
        ("--runtimes node,python", {"runtimes": ["node", "python"]}, "foreign; runtimes node,python"),
        ("--runtimes=", {"runtimes": []}, "foreign; runtimes none"),
        ("--ids lab-*,x", {"ids": ["lab-*", "x"]}, "foreign; ids lab-*,x"),
        ("--apis example.com/*", {"apis": ["example.com/*"]}, "foreign; apis example.com/*"),
        ("--memory 256Mi", {"memory": 256 * 1024**2}, "foreign; memory 268435456"),
        ("--cpu 0.5 --pids 9", {"cpu": 0.5, "pids": 9}, "foreign; cpu 0.5; pids 9"),
        ("--status-only", {"statusOnly": True}, "only its status"),
        (
            "--sandbox private --egress a.example:443 --binds /srv/a --ports 80,81 --services 1 --replicas 2",
            {
                "sandbox": "private",
                "egress": ["a.example:443"],
                "binds": ["/srv/a"],
                "ports": [80, 81],
                "services": 1,
                "replicas": 2,
            },
            "foreign; egress a.example:443; binds /srv/a; ports 80,81; sandbox private; "
            "services 1; replicas 2",
        ),
        (
            "--calls x/* --grants refuse",
            {"calls": ["x/*"], "grants": "refuse"},
            "foreign; calls x/*; nothing more",
        ),
        ("--ids x --allow-empty", {"ids": ["x"], "allowEmpty": True}, "foreign; ids x; may become empty"),
    ],
)
def test_limits(atek: Atek, pair: Pair, words: str, policy: dict[str, Any], shown: str) -> None:
    assert atek("follow", link_of(pair), "--name", "pi", *words.split()).status == 0
    policy = {"trust": "foreign"} | policy
    assert only_follow(pair).policy.to_json() == policy
    header, line = atek("follow").out.splitlines()
    assert header.split() == ["NAME", "NODE", "CONNECTED", "VERSION", "ALLOWED"]
    assert line.split(maxsplit=4) == ["pi", "pi", "yes", "2", shown]
    (entry,) = json.loads(atek("follow", "--json").out)
    assert entry["policy"] == policy


def test_limits_are_changed_and_the_way_stays_known(atek: Atek, followed: Pair) -> None:
    before = only_follow(followed)
    result = atek("follow", before.key, "--name", "pi", "--ids", "lab-*")
    assert result.out == "pi is followed as before, with these limits\n"
    after = only_follow(followed)
    assert (after.noise, after.at) == (before.noise, before.at)
    assert after.policy.to_json() == {"ids": ["lab-*"]}


def test_limits_without_a_link_are_not_taken_for_a_question(atek: Atek, followed: Pair) -> None:
    result = atek("follow", "--name", "pi", "--status-only")
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("atek: limits and a name are for a LINK\nhint: ")
    assert only_follow(followed).policy.to_json() == {}


def test_a_bare_key(atek: Atek, pair: Pair) -> None:
    result = atek("follow", KEY, "--name", "pi", "--trust", "foreign", "--ids", "a")
    assert (result.status, result.out, result.err) == (0, "pi is followed\n", "")
    assert only_follow(pair) == Follow("pi", KEY, policy=Policy(trust="foreign", ids=("a",)))


def test_without_limits_it_says_what_it_grants_and_asks(
    atek: Atek, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = atek("follow", link_of(pair), "--name", "pi")
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("atek: nobody is there to say yes, so nothing was done\nhint: --yes says")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer, status in (("", 1), ("n", 1), ("y", 0)):
        monkeypatch.setattr("builtins.input", {"Follow it on these terms? [y/N] ": answer}.__getitem__)
        result = atek("follow", link_of(pair), "--name", "pi")
        assert result.status == status
        assert "strict sandbox: no network" in result.out and "at most 10 services" in result.out
        assert len(pair.laptop.follows()) == (not status)


@pytest.mark.parametrize("said", [None, "own", "foreign"])
def test_whose_it_is_stays_said(atek: Atek, followed: Pair, said: str | None) -> None:
    """A follow of an earlier version keeps its terms until somebody says; and limits say nothing of it."""
    before = only_follow(followed)
    if said is not None:
        assert atek("follow", before.key, "--name", "pi", "--yes", "--trust", said).status == 0
    assert atek("follow", before.key, "--name", "pi", "--memory", "1Gi").status == 0
    assert only_follow(followed).policy.trust == said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("http://example.com", "http://example.com cannot be followed: it is neither a key of 64"),
        (KEY[:-1], f"{KEY[:40]}… cannot be followed: it is neither a key of 64"),
        (f"{LINK[:60]}", "cannot be followed: a key in it has not 64 hexadecimal digits; was it cut off?"),
        (f"{LINK}&to=x", "cannot be followed: it says something about 'to'"),
        (f"hyper://{KEY}?noise={NOISE}&at=10.0.0.7", "cannot be followed: '10.0.0.7' is not host:port"),
        (f"{LINK} --name Pi", "'Pi' cannot be the name of a node that is followed"),
        (f"{LINK} --name records", "'records' cannot be the name"),
        (f"{LINK} --name p --runtimes ruby", "runtimes"),
        (f"{LINK} --name p --memory lots", "memory: "),
        (f"{LINK} --name p --pids 0", "pids: "),
        (f"{LINK} --name p --cpu 0", "cpu: "),
        (f"{LINK} --name p --ids a?", "ids"),
        ("{own}", "that is this node's own key"),
        ("{pi} --name other", "that node is followed already, as pi"),
    ],
)
def test_what_cannot_be_followed(atek: Atek, followed: Pair, words: str, message: str) -> None:
    own, pi = followed.do(followed.laptop.keys).records, link_of(followed)
    result = atek("follow", *words.format(own=own, pi=pi).split(), "--yes")
    assert (result.status, result.out) == (1, "")
    assert message in result.err.splitlines()[0]
    assert [each.name for each in followed.laptop.follows()] == ["pi"]


def test_the_list(atek: Atek, pair: Pair) -> None:
    assert atek("follow").out.startswith("no node is followed yet: `atek follow LINK` does")
    assert atek("follow", "--json").out == "[]\n"
    pair.follow_pi()
    pair.do(pair.laptop.follow, Follow("attic", KEY, NOISE))
    pair.do(pair.laptop.hyper.lag, pair.do(pair.pi.keys).records)
    pair.do(pair.pi.declare, "notes")
    _, attic, pi = sorted(line.split() for line in atek("follow").out.splitlines())
    assert attic == ["attic", "?", "no", "never", "seen", "everything"]
    assert pi == ["pi", "pi", "yes", "2", "(+2)", "everything"]
    pair.part()
    assert "no" in atek("follow").out.splitlines()[1].split()


def test_unfollow_of_the_unknown(atek: Atek, pair: Pair) -> None:
    assert atek("unfollow", "pj").err == "atek: no followed node is called pj\nhint: none is followed\n"
    pair.follow_pi()
    result = atek("unfollow", "pj")
    assert (result.status, result.err) == (1, "atek: no followed node is called pj\nhint: followed are pi\n")
    assert only_follow(pair).name == "pi"


# Adopt


def test_adopting_data(atek: Atek) -> None:
    node = FakeNode()
    node.add(service("notes") | {"conditions": [condition("Ready", "False", "DataOwned")]})
    with running_node(atek.home, node):
        result = atek("adopt", "notes")
        wrong = atek("adopt", "notse")
    assert (result.status, result.out) == (0, "notes has the data in data/notes from now on\n")
    assert node.services["notes"]["conditions"][0]["reason"] == "Ready"
    assert (wrong.status, wrong.out) == (1, "")
    assert wrong.err == "atek: there is no service notse\nhint: did you mean notes?\n"
