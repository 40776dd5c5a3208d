"""What programs write beside their code: found, carried to the next revision, kept when a copy goes.

In: a copy of a package, before an instance starts in it and before it is deleted. Out: the files in the next
copy, or in kept/<id>/. Blocks: it is called in threads. Imports base, paths and `manifests` only.

inventory ── what differs from what was built      carry ── from one copy into another
retention ── who has the present state of it       stateful ── whether two writers would put it at risk
removal ── deletes folders for good             trash ── what will be deleted
beneath ── walks what programs change meanwhile, and never out of it
usage ── how much of the disk there is of it
"""
