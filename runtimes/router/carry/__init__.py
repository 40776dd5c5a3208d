"""Connections and bodies: what was decided is carried out here, on asyncio's raw protocols.

Bytes come in from clients (`client`) and instances (`upstream`, opened by `connecting` alone), and go out to
the other side. `handlers` says which `Handler` carries out which decision; `proxying` and `delivery` are
`Exchange`s with an instance, too. `plane` is what all connections share: table, pools, clocks. Imports the
other rooms; none imports this one, and within it imports go one way:

    handlers → proxying, calls, held, local_answer … → client → plane → connecting → upstream → pool
"""
