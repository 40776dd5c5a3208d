"""What the router tells of its work: the numbers in Prometheus' text, and the access log.

`carry` reports each request that was answered. Text goes out to the node, which serves it, and lines to the
log's file. Imports `decide` and `protocol`.
"""
