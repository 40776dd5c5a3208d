"""A small HTTP/1.1 server for the node's own few listeners, and JSON-RPC on it. Knows nothing of services.

In come a bound socket and a handler (`messages`: Request → Response); `server` listens, `connection` speaks
the protocol with h11, `places` keeps room for who behaves, `jsonrpc` takes a body apart. Imports no room.
"""
