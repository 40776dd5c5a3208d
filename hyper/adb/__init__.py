"""The Atek Database: Hypercore databases for apps, by `atek.cloud/adb-api`. A service of its own, `core.adb`.

    a call ─► http (one connection) ─► rpc (JSON-RPC) ─► methods ─► databases | records ─► port.Hyper
    a WebSocket ─► http ─► feed: what changes in a database

`access` says who may do what, `entries` what the server database's tables say, `params` and `paths` what a
caller may write, `schemas` what a value must be. They are pure. `tables` follows the server database.

The server database is the node's own ("records"). Whose a database is stands there at
`atek.cloud/database/<dbId>`, and who is an administrator at `atek.cloud/user/<key>`. Who calls is said by the
router alone: nobody else reaches the socket.
"""
