"""What goes in and out of a strict sandbox, whose programs have a network namespace with nothing in it.

    inside ── what is listened on, and by which names ─► namespaces ─► sockets, made there and served here:
    that of the gateway ─► the router, which knows by it who calls
    a port of the program ◄─ inbound ◄─ everybody who asks for it at this machine's loopback address
    those of `egress`, proxy, names ─► serving ─► rules, addresses ─► dialling ─► other machines

A socket belongs to the namespace it was made in, whoever holds it. So nothing of the node runs inside, and
nothing inside has a way out but these. `rules`, `addresses`, `inside`, `proxy_request` and `dns_message` are
pure; `networks` is what the rest of runtimes knows. Imports the ports only.
"""
