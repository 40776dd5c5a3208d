"""The folder that a manifest's `source:` points to: what is in it, and when that changes.

    resolve     a declared manifest ─► a service: finds the folder, infers the runtime, computes the revision
    digests     one digest over all that counts in a folder
    watcher     which folder changed, by watchfiles

Imports the model and files. Only reads: what is prepared and run of it is the affair of
`runtimes.packages`.
"""
