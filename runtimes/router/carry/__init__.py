"""Connections and bodies: what was decided is carried out here, on asyncio's raw protocols.

Bytes come in from clients (`client`) and from instances (`upstream`), and go out to the other side; a
`Handler` sees to one request, an `Exchange` to its way to an instance and back, and `plane` holds what all of
them share. Imports the other rooms; none of them imports this one.
"""
