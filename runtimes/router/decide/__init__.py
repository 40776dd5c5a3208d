"""Which request goes where, and who may: a head and the route table of the moment become a `Decision`.

It imports `protocol` and nothing else. Routes come in from the node as changes to the table, heads from
`carry`; a decision goes back there, to be carried out.
"""
