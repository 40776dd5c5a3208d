"""Everything that runs: services on Node, Python, this machine and Docker, and the router before them.

    registry, doctor, fake    which runtimes there are; what the machine lacks; an imaginary machine for tests
    docker/  packages/        containers; how a package becomes ready to run      router/   the data plane
    probes                    whether an instance works: a connection, an HTTP request, a command
    processes/ sandbox/ network/  data/   programs of this machine: run, kept apart; what they write
    preparer, base, paths     the ports between these, and the folders of a node

Each line may import those below it and `manifests`, never `reconciler`, which calls `base.Runtime` and hears
of what runs from `observe` and `wait`. A new runtime implements that port and is entered in `registry`.
"""
