"""The ways into a running node: listeners, health, metrics, and the control socket of the command line.

Requests come in at `listeners`, which alone bind sockets. Answers are read from `reconciler.port.NodeApi`, or
are orders to it. Imports `port`, `http`, `apis` (the system APIs come in by the same door) and below. Nothing
here knows how services are converged.
"""
