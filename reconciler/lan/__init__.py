"""The node on its network: where it listens, under which names, and with which certificate.

    settings, people, addresses, manifests ─► wanted (pure) ─► keeper ─► sockets ─► the router
                                                                 ├─► certificates ─► a process: authority
                                                                 └─► mdns

Nothing of it is loaded where nobody wants it. `authority` makes and reads certificates, in a process of its
own for the moment that takes: the library is 8 MiB, and the key that signs is in nobody's memory otherwise.
"""
