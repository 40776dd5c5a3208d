"""The file format of SOPS with age recipients: values are encrypted, keys and structure are not. Pure.

Bytes come in and bytes go out; who calls it brings the keys, the clock and the randomness. `document` opens
and seals a whole file: a store (`yaml_store` …) makes a `tree` of it, `rules` say which values are encrypted,
`cipher` does one (AES-256-GCM under the data key, its place as additional data), `age` the data key for
each recipient, `metadata` is what stands under the file's own key `sops`. The MAC is a digest of all values
in their order: who lacks a key changes, moves, adds or removes none unseen. Imports no other room.
"""
