"""Who answers from a running node: listeners, health, metrics, and the control socket of the command line.

Requests come in at `listeners`, which alone has sockets bound. Answers are read from `port.NodeApi`, or are
orders to it: `control` has the methods of the command line, `peer_methods` those about other nodes.
Imports `port`, `http`, `apis` (the system APIs come in by the same door) and what lies below. Nothing here
knows how services are converged.
"""
