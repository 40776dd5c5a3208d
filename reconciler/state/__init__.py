"""What a node keeps on disk for its next life, in its home, and the settings that it begins with.

Every file is written whole or not at all (`manifests.files`), and is read once at the start; one that is
damaged is moved aside and named. Data comes in from `drive`, `peers`, `apis` and a person's config, and goes
out to the same. Imports `decide`, and what says where runtimes keep theirs.
"""
