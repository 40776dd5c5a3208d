"""Hypercore in memory: `FakeHyper` behind the real port, and the `FakeNetwork` that several share.

    node ─► network ─► log, drives      a call, who else hears of it, what is kept

Nothing here waits for a real thing: whole nodes of fakes run on a virtual clock.
"""

from hyper.fake.network import FakeNetwork
from hyper.fake.node import FakeHyper

__all__ = ["FakeHyper", "FakeNetwork"]
