"""Compares the desired services with what runs, converges it, and answers those who ask about it.

    cli ─► up, node ─► serve ─► apis, notify ─► port ─► gitops ─► peers ─► drive ─► state ─► decide
           wiring      answers  what is offered         Git, and other nodes loop    disk     pure

A room imports those to its right and none to its left; `http` and `errors` are everybody's. A manifest comes
in at `drive.desired`, `decide.plan` says what follows from it, `drive.effects` does that. What a node is made
of is listed in `node.Ports`, and made in `wiring`.
"""
