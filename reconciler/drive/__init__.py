"""The control loop: wakes up, looks, has `decide` think, and carries out what it says.

In come snapshots of the sources (`desired`, `packages`, `inheritance`), what runs (`observation`) and what
becomes of it (`instances`, `supervision`); `queue` says whose turn it is, `loop` takes it, `effects` acts on
runtimes (`preparing` in the background, `stateful` before two writers), `routing` tells the router. What is
known of each service is in `controllers`, what of it outlives the node in `memory`. `updates` moves services
to newer releases by schedules (`due`), of `origins`. Out go `overview` (status), `events`, `metrics`. Imports
`decide` and `state`; nobody here opens a socket or knows a listener.
"""
