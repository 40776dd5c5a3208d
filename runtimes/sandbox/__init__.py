"""How far a program of this machine is kept apart from the rest of it; bubblewrap carries that out.

    confinement, command, seccomp   pure: what a manifest asks for; a View in words; calls refused
    machine, troubles               whether this machine can, found by trying; which knob keeps it from that

*private*: its own processes and /tmp, nothing of the node's home but its own, nobody else's sockets, secrets
or processes; the network, the user's files and programs as before. *strict*: besides no network, a read-only
system, nothing of the user's, a minimal /dev. In: services and paths. Out: words for `processes` to start,
and what is not kept apart, in sentences. Imports base, preparer and paths, no other room.
"""
