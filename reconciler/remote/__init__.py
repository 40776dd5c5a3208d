"""This node from afar: which devices may come by a tunnel, how one is paired, and the device's own end.

    cli.pair ─► serve ─► port ─► home ─► devices (a file)        home's end
                                   └─► hyper.tunnels, router
    cli.connect ─► visit ─► program (the daemon), homes (a file)    device's end
    codes, pairing   pure: a code as text; how two who know one prove it to each other

A device is known by the key of its daemon, which proves it for each connection. Imports state and below;
nothing here knows how services are converged.
"""
