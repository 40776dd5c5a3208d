"""Containers on an engine that speaks the Docker Engine API: Docker's own, or Podman's compatible one.

In: `Launch` and packages with a Dockerfile; out: `Running`, logs, state/volumes. Imports all but router.

engine ── client over the engine's Unix socket; errors translated once      failures ── what its words mean
spec ──── a service as the engine wants it (pure)                           images, build ── prepare
volumes ─ what outlives a container, named by volume_names; ended: containers that may run again
logs ──── output, to where every service's goes                             gateway ── the node, from inside
swarm ─── what the engine's swarm places: swarm_spec asks for it, swarm_tasks reads what became of it
"""
