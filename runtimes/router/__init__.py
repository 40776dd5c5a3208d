"""The data plane, a process of its own: forwards calls between services, and people's requests to services.

    node ─remote─► server ─► carry ──head──► protocol ─► decide ──Decision──► carry ─► instance
         ◄drained─          └─ what was answered ─► tell: numbers, access log

The node says what is true now over one socket, as changes to an immutable route table; it has `port` (what it
may ask), `remote` (its end of the socket) and the values of `decide.table`. Of the rooms and modules, each
imports those to its right: `server`, `carry`, `tell`, `decide`, `protocol`. `asyncio` by name appears only
here: raw protocols on uvloop are what makes it fast.
"""
