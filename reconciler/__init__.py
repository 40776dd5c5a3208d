"""Compares the desired services with what runs, converges it, and answers those who ask about it.

    cli ─► up ─► node ─► serve ─► apis ─► port ─► peers ─► drive ─► state ─► decide
           the wiring    the ways in            other nodes  the loop  disk    pure

A room imports those to its right and none to its left; `http` and `errors` are everybody's. A manifest comes
in at `drive.desired`, `decide.plan` says what follows from it, `drive.effects` does that.
"""
