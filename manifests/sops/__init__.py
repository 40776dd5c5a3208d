"""The file format of SOPS with age recipients: values are encrypted, keys and structure are not. Pure.

Bytes come in and bytes go out; who calls it brings the keys, the clock and the randomness.

    tree       what a file is made of: mappings in order, lists, scalars, comments; and each value's bytes
    rules      which values of a file are encrypted
    cipher     one value: AES-256-GCM under the file's data key, with the value's place as additional data
    age        the data key: encrypted to each recipient
    metadata   what stands under the file's own key `sops`
    stores     the kinds of files: yaml_store, json_store (binary files too), dotenv_store, ini_store
    document   a whole file: opened (tags and MAC verified) and sealed
    creation   `.sops.yaml`: for whom a new file is, and what of it is encrypted

The MAC is a digest of all values in their order, encrypted like a value. So nobody who lacks a key changes,
moves, adds or removes a value unseen; keys are bound by the places of the values below them.
"""
