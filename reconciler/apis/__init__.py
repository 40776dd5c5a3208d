"""What the node offers to services and people through its router: the system APIs, JSON-RPC by POST.

    router ──POST <path>──► handler ──► services-api (services, declare, rename) ──► manifest files
                                   ├──► inspect-api                                  the node's own
                                   └─ waits (convergence) until the world is as it was asked for

An API writes desired state; the reconciler does the rest. Who calls is what the router says
(`Atek-Auth-User`, `Atek-Auth-Service`): it strips what clients send under these names.
"""
