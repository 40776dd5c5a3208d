"""This node among the user's other nodes: its own databases, those it follows, and what it tells them.

    node ◄── sources (own records, follows) ── membership ──► Hyper (the daemon)
      └────── status ──► publisher ──► status database ──► whoever follows this node

Questions and orders come in by `port` and `orders`, records as sources of `drive`; out go records and status.
Nothing waits for the daemon where a node boots: what its databases said last is in the state directory.
Imports `drive` and what lies below, the client of `hyper`, manifests; no runtime, no listener.
"""
