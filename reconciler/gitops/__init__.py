"""Git sources: what lies at a commit of a repository, as manifests of this node.

One `[[sources.git]]` is a `manifests.model.git_source.GitSource`. `repository` looks what its ref is now,
fetches that commit and lays it out as files; `verify` says who signed it. Whatever goes wrong is a
`troubles.GitTrouble`, with one reason for each kind.
"""
