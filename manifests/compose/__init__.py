"""A Compose file as manifests: each of its services is a service of the node, run by the docker runtime.

What people use at home is translated, and what is not is an error that names key and line; nothing is
ignored silently but `version`, `x-…` keys and the name under which a build would be tagged.

Such a service is to work as it does with Compose, so it is not as shut in as other containers here: it
writes to its root, has Docker's default capabilities, the image's own user and home, a way out to other
machines, and meets the others of its file by their names (and container_names) on a network of theirs. Ports
are published on all addresses unless one is written. What stays: no program gains privileges that it was
not started with, and limits hold.

- Ids are the services' names, after `name:` where the file has one: `name: wiki` makes `wiki-db`. Without it
  the file's folder names the network and the volumes. Volumes belong to the project, and outlive it.
- Each service is recreated when it changes, never rolled: two of them never write to one volume.
- `${VAR}` is looked up in the `.env` beside the file, never in the node's environment. One that is nowhere
  and has no default is an error: an empty password is no default.
- Folders of this machine have to be listed under `binds` in the config's [docker], like everybody's.
- The service's first TCP port (`ports`, else `expose`) is the one that its host name leads to.
"""

from manifests.compose.files import NAMES, is_compose, read_compose

__all__ = ["NAMES", "is_compose", "read_compose"]
