"""What a node keeps on disk for its next life, in its home, and the settings that it begins with.

Every file is written whole or not at all (`manifests.files`), and is read once; one that is damaged counts as
none, and is moved aside and named where a person could mend it. Data comes in from `drive`, `peers`, `apis`
and a person's config, and goes out to the same. Imports `decide` and `errors`, manifests, and from runtimes
and `hyper` only names and forms; opens no socket.
"""
