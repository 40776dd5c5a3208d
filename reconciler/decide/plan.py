"""The decision: what to do about one service, given everything there is to know about it.

`plan` is pure and total: a `World` in, a `Decision` out, no clock, no chance, no I/O. It promises:

- it never takes *unknown* for *absent*: a service that no source was able to mention is left alone;
- it never asks for a second copy of a revision in a slot, but beside one that is asked to end already, and
  that only where two revisions may run next to each other too;
- it touches only instances it was shown, and it was shown only this node's own;
- with nothing changed it asks for nothing.

Each question has a module of its own, and none of them is come back to. What they ask for gathers in a
`Draft`; the values that they share are in `world`, `history`, `lifecycle`, `conditions` and `actions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.decide.candidates import candidates
from reconciler.decide.draft import Draft
from reconciler.decide.outcome import conclude
from reconciler.decide.preparations import request_preparations
from reconciler.decide.progress import choose_target
from reconciler.decide.replicas import take_stock
from reconciler.decide.rollout import hand_over
from reconciler.decide.strategy import decide_strategy
from reconciler.decide.termination import terminate
from reconciler.decide.waiting import find_hold

if TYPE_CHECKING:
    from reconciler.decide.world import Decision, World


def plan(world: World) -> Decision:
    """Decides what to do about one service now."""
    draft = Draft(world.history)
    # 1. Is anything to end, and does what was asked to end have to be pressed?
    terminate(world, draft)
    # 2. Which revisions may run, the best first?
    choices = candidates(world, draft)
    # 3. Does the best one stand, or has it had its chance? What stands is the target.
    target = choose_target(world, choices, draft)
    # 4. What has to be prepared, and what need not be any more?
    request_preparations(world, choices, target, draft)
    if target is not None:
        # 5. Who is there of it, and which slots are vacant?
        replicas = take_stock(world, target, draft)
        # 6. May it run beside what is there? Sometimes somebody has to look before that is known.
        strategy = decide_strategy(world, replicas, draft)
        # 7. Is there anything that a start has to wait for?
        hold = find_hold(world, replicas, draft.history)
        # 8. What is started, and what is stopped in its favour?
        hand_over(world, replicas, strategy, hold, draft)
    # 9. What does all this mean for people, and when is it looked at again?
    return conclude(world, target, draft)
