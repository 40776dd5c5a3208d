"""The control loop: wakes up, looks, has `decide` think, and carries out what it says.

In come snapshots of the sources (`desired`) and the ends of instances (`supervision`); `queue` says whose
turn it is, `loop` takes it, `effects` acts on runtimes, `routing` tells the router. Out go `status`, `events`
and `metrics`. Imports `decide` and `state`; nobody here opens a socket or knows a listener.
"""
