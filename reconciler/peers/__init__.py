"""This node among the user's other nodes: its own databases, those it follows, and what it tells them.

    Node ◄── sources (own records, follows) ── Membership ──► Hyper (the daemon)
      └────── status ──► Publisher ──► status database ──► whoever follows this node

`port` is what others may ask of it. Nothing here waits for the daemon where a node boots: which databases
there are, and what they said last, is known from the state directory.
"""
