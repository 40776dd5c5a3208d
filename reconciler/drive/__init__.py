"""The control loop: wakes up, looks, has `decide` think, and carries out what it says.

In come snapshots of the sources (`desired`, `packages`) and the ends of instances (`supervision`); `queue`
says whose turn it is, `loop` takes it, `effects` acts on runtimes, `routing` tells the router. What is known
of each service is in `controllers`. Out go `overview` (status), `events` and `metrics`.
Imports `decide` and `state`; nobody here opens a socket or knows a listener.
"""
