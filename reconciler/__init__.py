"""Decides and drives: compares the desired services with what runs, and converges it.

The pure half decides (`world` in, `plan`, `actions` out; `lifecycle`, `history` and `conditions` are its
vocabulary). The other half looks, acts and tells: `loop` takes wake-ups, `node` wires everything, `health`,
`control` and `cli` are the ways in.
"""
