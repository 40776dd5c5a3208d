"""Everything that runs: the runtimes behind one Protocol, what they share, and the probes.

`base` is the port that the reconciler sees. `process` runs programs of this machine (native, Node and
Python differ only in how a package is prepared), `fake` is the same port over an imaginary machine.
"""
