"""The Atek Database: Hypercore databases for apps, by `atek.cloud/adb-api`. A service of its own, `core.adb`.

    a call ─► http (one connection) ─► rpc (JSON-RPC) ─► methods ─► databases | records ─► store ─► port.Hyper
    a WebSocket ─► http ─► feed ─► subscription: what changes in a database
    server, application, link     the process, its parts, its way to the daemon;   rules   who may what; pure
    tables     follows the server database, the node's own ("records"): whose a database is stands there at
               `atek.cloud/database/<dbId>`, who is an administrator at `atek.cloud/user/<key>`

Imports the rest of hyper. Who calls is said by the router alone: nobody else reaches the socket.
"""
