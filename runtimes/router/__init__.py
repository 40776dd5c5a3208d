"""The data plane: forwards calls between services, and people's requests to services.

A process of its own, so that the control loop's work never delays a request and what a stranger sends is
never parsed next to the node's state. The node tells it what is true now, over one socket, as changes to an
immutable route table:

    node ──changes──► process ──► table (pure) ──► client ──► gateway or forwarding ──► upstream ──► instance
         ◄─drained──          what leads where     one connection in,  one exchange,        one connection out

`asyncio` by name appears only here: raw protocols on uvloop are what makes it fast.
"""
