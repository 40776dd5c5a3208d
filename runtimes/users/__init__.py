"""A user of its own for every service, where the node runs as root and was given a range of numbers.

In: a service that is about to start, and its folders. Out: who runs it, with its data, its copy of its
package, its secrets and its socket folder its own, and nothing else. Imports data, base and paths, no other
room.

ranges ── the setting; pure                  numbers ── which id has which number, for ever
ways ──── who may pass where                 handing_over ── makes folders somebody's own
service_users ── all of it for a start       ending ── nothing of a user is left
"""
