"""Hypercore: the port, its client, its fake, and the Atek Database. Imports nothing of the other packages.

    daemon/     a Node program on the official libraries; the only one that opens the store
    port        what the rest of the node may ask of it, and the errors it answers with;   encoding   pure
    tunnels ─► client ─► connection ─► stream     the port over the daemon's socket;   fake   in memory
    adb         a service of its own over the same port;   core_services   both as plain manifests

Calls come in by `port.Hyper`; records, changes and drives go out. A record is a JSON document in a Hyperbee,
found by its path. A position is a database's fork and version: what was read there stays true of it for ever.
"""
