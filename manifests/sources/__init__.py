"""Where manifests come from: each source watches one place, and says what it has as a snapshot.

    folder, config     files: watcher ─► listing, trust ─► contents ─► formats ─► last_good (kept on the disk)
    records            a database: following ─► entries ─► judging; journal keeps them, fetching and drives
                       bring their packages
    memory             what it is told, for nodes of fakes

In come files and records; out go `model.snapshot.Snapshot`s, and `changed()` after each change. Another
source is a module here that implements `model.snapshot.Source`. Imports all rooms below, and hyper's port.
"""
