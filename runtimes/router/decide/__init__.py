"""Which request goes where, and who may: a head and the route table of the moment become a `Decision`. Pure.

Routes come in from the node as changes to the table, heads from `carry`; a decision goes back there, to be
carried out. Imports `protocol`, and nothing that could wait.

Begin with `request`, whose steps are a module each: `place` (what is asked for), `identity` (who asks),
`access` (may they), `proxy` or `rpc` (where it goes, with the bytes for it); then, whether it waits.
"""
