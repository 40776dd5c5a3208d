"""Desired state: what a person wrote down, read, checked and merged. Imports hyper's port, nothing above.

    sources     text and records come in here, snapshots go out: folders, the config file, databases
    documents   text and records ─► manifests, or problems;   compose   the same for Compose files
    model       the values, each made of the one before: manifest ─► snapshot ─► merged ─► service
    packages    the folder that a manifest points to: its digest gives the service its revision
    sops        encrypted files: their bytes opened and sealed
    files, inotify, schema     whole small files; the kernel's events; the JSON Schema and README's tables

documents, compose, model and sops are pure: only sources, packages and files open anything.
"""
