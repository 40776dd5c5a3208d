"""Programs of this machine as instances: started, limited, found again by the next life of the node, ended.

In: `Launch` from the reconciler, `Program` from a preparer. Out: `Running` and `Exit`, records in
state/instances, logs in logs/<id>. Imports data and the ports (base, preparer, paths), no other room.

process ── the Runtime over host, the table of all instances   environment, variables, executable ── what runs
children ─ everything this process starts; marks, scan and      limits ── cgroups and rlimits
           ownership say whose a process is, leftovers ends it  logs, log_lines, termination_message ── output
records, recovery ── from one life of the node to the next      ports, listening, elsewhere ── where
"""
