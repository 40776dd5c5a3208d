"""The people of a home, and where they are signed in.

    household ──► decide (whose names, who is the last owner)       pure; so are model, devices, throttle
        ├──► passwords (Argon2id, in a thread)    setup (the code that makes the first person)
        └──► store (`state/people`, 0600) ──► the router is told, and only then is anybody answered

A person is known by a key that is never given again, a session by the SHA-256 of what its cookie says.
Without people a home is open to everybody on loopback; the first one ends that. `port` is what others know
of it. Imports `errors`, `manifests.files` and the router's port.
"""
