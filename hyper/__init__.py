"""Hypercore: the port, its client, the records, and the Atek Database.

    daemon/     a Node program on the official libraries; the only one that opens the store
    port        what the rest of the node may ask of it, and the errors it answers with
    client      the port over the daemon's socket;  fake  the port in memory
    connection, stream, wire      what the client is made of;  keys, link  paths and links as text
    adb/        the Atek Database: a service of its own over the same port

A record is a JSON document in a Hyperbee, found by its path. A position in a database is its fork and its
version: what was read at one position stays true of it for ever, unless the log was forked.
"""
