"""What the node offers to services and people through its router: the system APIs, JSON-RPC by POST.

    router ──POST <path>──► handler ──► services-api (services, declare, rename) ──► records, or files
                                   ├──► inspect-api, users-api, user-sessions-api    of the node's own
                                   └─ waits (convergence) until the world is as it was asked for

An API writes desired state; the loop does the rest. Who calls is what the router says (`Atek-Auth-User`,
`Atek-Auth-Service`): it strips what clients send under these names. The node is asked through `port`. Imports
`peers`, `drive`, `http` and what lies below, manifests, and of runtimes what lies in a home; opens no socket.
"""
