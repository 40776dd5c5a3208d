"""Hypercore: the client, the records and the Atek Database.

Nothing lives here yet. The package holds its place in the import order (reconciler, runtimes,
manifests, hyper) so that what comes next has one obvious home.
"""
