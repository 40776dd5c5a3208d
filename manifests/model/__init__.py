"""The values of desired state, and what is decided about them. Pure; imports nothing of the other rooms.

    spec, base, quantities, containers, git, semver     each key of a manifest, and what may stand in it
    validation, placement ─► manifest     what has to be right as a whole
    snapshot ─► merge ─► service          what a source says, what all say together, one with its revision
    policy, patterns, nodes               whether another node's service may run here; whom `nodes:` means
    expansion, releases, ignored, source_text     what `env`, `version` and names of a package's files mean
    keys                                  the sentence about each key, for people

In come plain values from `documents` and `compose`; out go values that never change.
"""
