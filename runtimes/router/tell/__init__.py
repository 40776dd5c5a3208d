"""What the router tells of its work: the numbers in Prometheus' text, and the access log.

`carry` reports each request that was answered, or that could not be read. Text goes out to the node, which
serves it, and lines to the log's file, which is the only one that a router writes. Imports `decide`'s values.
"""
