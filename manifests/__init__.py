"""Desired state: what a person wrote down, read, checked and merged.

A *manifest* is one service as its author wrote it. `model` says what may stand in it, `parse` turns a
file into manifests or into errors that name file, line and key. A *source* (config file, watched folder)
produces *snapshots*; `merge` joins all snapshots into one desired state with a winner for each id;
`resolve` looks at the package a manifest points to and gives the service its *revision*.
"""
