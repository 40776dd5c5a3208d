"""What goes over the wire, as values: heads, bodies, WebSocket frames, JSON-RPC. Pure.

Bytes come in from `carry` and go out as values that say what stands there, or the other way round; what
breaks the rules of HTTP or JSON raises here and goes no further. Nothing here knows services, connections or
the clock: it imports neither I/O nor another room.

`fields` has the rules of all heads, `request_head` and `answer_head` their own; `body` finds the end of one.
`jsonrpc` takes small documents apart at once, `large` the others slice by slice, with `json_scanner`.
"""
