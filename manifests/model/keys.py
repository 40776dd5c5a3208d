"""What each key of a manifest means, in a sentence for its author: editors show it, and this folder's README.

By the table that a key stands in. A test holds these beside the model, so that neither has a key more. Kept
apart from the model because a node that starts needs none of it.
"""

from __future__ import annotations

MEANINGS: dict[str, dict[str, str]] = {
    "Manifest": {
        "id": "The service's name, and its host name: `<id>.localhost`. A DNS label.",
        "runtime": "What runs it. Left out: by what lies in the package, then by the command.",
        "source": "The package's folder, beside this file or absolute, or a Git repository: "
        "`https://example.com/apps.git#v2:notes`. Left out: only a command, or an image.",
        "version": "Which release of a Git repository, as a range with npm's rules: `^1.2`, `latest`. "
        "Left out: the newest, where source names no branch, tag or commit.",
        "autoUpdate": "Newer releases of a Git repository, or newer images, are taken by themselves, and "
        "given back when they do not work.",
        "run": "Where a package runs: in a copy of its own for each revision, or in its folder as it is.",
        "literalEnv": "True: no `$` in env stands for anything.",
        "command": "The program and its words. `$NAME` stands for what the service sees in its environment, "
        "`$$` for a dollar. Left out: the package's own entry point.",
        "port": "The TCP port that the program listens on, or `auto` for a free one; it is told as `PORT`. "
        "Left out: it listens on the Unix socket `ATEK_ASSIGNED_SOCKET_FILE`.",
        "env": "Environment variables. Names that begin with `ATEK_` are the node's own.",
        "secrets": "Values that only the service is to know, by the variables that they are for. "
        "Changing one is a new revision.",
        "exports": "APIs that the service offers to others. Left out: what the package's atek.json says.",
        "allow": "APIs that it may call, `*` standing for anything but the node's own: those only what "
        "begins with `atek.cloud/` stands for. Left out: what other services export, and none of the "
        "node's own.",
        "crossSite": "`allow`: pages of other sites, those of other services among them, may send it more "
        "than links do, and read its answers as it lets them.",
        "access": "Which people may see it, once there are any: `private` (its owner and the owners of the "
        "node), `members` (all but guests), those with these user names besides its owner, or `public` "
        "(everybody, without signing in). Left out: `private`, and `members` for what nobody in particular "
        "installed.",
        "signIn": "Tells the program who is signed in, for programs that let a proxy say so.",
        "lan": "How it is reached on the network beside its host name.",
        "dependsOn": "Other services that have to be there before this one starts.",
        "probes": "How the node finds out whether it works.",
        "restart": "What happens when it ends.",
        "update": "How a new revision takes over.",
        "stop": "How it is asked to end.",
        "replicas": "How many instances run at the same time.",
        "resources": "Upper limits for all processes of one instance.",
        "runAs": "The user of this machine that its program runs as, where the node runs as root. Left out: "
        "one of its own if the node has users to give away, else the node's own.",
        "sandbox": "How far it is kept apart from the rest of the machine. "
        "Left out: what `sandbox` in the config file says, else `private`.",
        "binds": "Files and folders of this machine that a program in a strict sandbox sees: "
        "`/srv/photos`, `/srv/inbox:rw`.",
        "suspend": "True: nothing of it runs until this is false again.",
        "nodes": "Which nodes run it, by name or by label. Left out: all.",
        "image": "A container image, by name, tag or digest.",
        "pull": "When the image is fetched.",
        "publish": "Ports of this machine that lead into the container: `8080:80`, `0.0.0.0:53:53/udp`, "
        "`*:80:80` on all addresses, `127.0.0.1::80` for a port of the engine's choice.",
        "network": "The container's network.",
        "egress": "True: the container may reach other machines. "
        "A list: where a program in a strict sandbox may connect to, `api.example.com:443`.",
        "capabilities": "Linux capabilities that the container gets; none when left out.",
        "isolation": "Another OCI runtime of the engine, like `runsc` or `kata-fc`.",
        "volumes": "Named volumes and folders in the container: `cache:/var/cache`, `./www:/srv:ro`; "
        "the engine's options too, `nocopy`, `z`, `rslave`.",
        "readOnly": "Whether the container's root file system cannot be written.",
        "placement": "Who chooses the machine of a container: this node's engine, or the engine's swarm.",
        "user": "Who the program is inside the container, `user` or `user:group`.",
        "entrypoint": "Instead of the image's own entrypoint.",
        "labels": "Labels of the container for other tools.",
        "project": "Containers that belong together, with Docker's defaults; Compose files set it.",
        "build": "How the image of a source with a Dockerfile is built.",
    },
    "Lan": {"port": "The port of the node's, on each of its addresses, that is this service's alone."},
    "SignIn": {
        "header": "The header with the person's user name, like `Remote-User`.",
        "email": "The header with their address: the user name, at the node's domain where it is none.",
        "name": "The header with the name to show: the user name.",
    },
    "Probes": {
        "startup": "Until it succeeds once, no other probe is made; gives up after failureThreshold tries.",
        "readiness": "Whether it may be sent requests. Left out: its endpoint accepts a connection. `none`: "
        "it listens nowhere, and is ready once it has stayed up for a second.",
        "liveness": "Whether it still works; it is replaced when this fails.",
    },
    "Probe": {
        "httpGet": "A request to its endpoint; a status from 200 to 399 is success. A path alone will do.",
        "tcpSocket": "A connection that is accepted is success.",
        "exec": "A command with the service's environment; exit status 0 is success.",
        "initialDelaySeconds": "Seconds before the first try.",
        "periodSeconds": "Seconds between two tries.",
        "timeoutSeconds": "Seconds that a try may take.",
        "successThreshold": "Successes in a row that count as one.",
        "failureThreshold": "Failures in a row that count as one.",
    },
    "HttpGet": {
        "path": "What is asked for; begins with /.",
        "port": "Another port than the endpoint's.",
    },
    "TcpSocket": {"port": "Another port than the endpoint's."},
    "Exec": {"command": "The program and its words."},
    "Export": {
        "api": "The API's id, like `example.com/notes`.",
        "path": "Where the service answers it.",
        "transport": "`rpc`: JSON-RPC by POST; `proxy`: a WebSocket.",
    },
    "Dependency": {
        "id": "The other service.",
        "condition": "What it has to be: running, ready, or ended with success.",
    },
    "Restart": {
        "policy": "When an ended instance is replaced.",
        "initialDelay": "The wait before the second attempt; it doubles from there.",
        "maxDelay": "The longest wait between two attempts.",
        "resetAfter": "Being ready for so long makes the next crash a first one.",
        "perMinute": "The most replacements of an instance in a minute, however long it was ready. Left "
        "out: the node's own bound.",
    },
    "Update": {
        "strategy": "`rolling`: the new revision is ready before the old one is stopped; `recreate`: the old "
        "one is stopped first. Left out: the node chooses, and `atek status` says which and why.",
        "healthyDeadline": "A revision that is not ready by then is taken down, and the old one serves on.",
        "drainTimeout": "How long requests in flight may take before their instance is asked to end.",
        "onFailure": "`ask`: where data is kept, nothing runs once a revision that ran is given up, until "
        "you choose: what it wrote may not fit what ran before. So say Git sources with onFailure = revert.",
    },
    "AutoUpdate": {
        "image": "For containers: `digest` (whatever the image's tag is now), or a range of tags, `^1.2`.",
        "schedule": "When to look: so long after the last look (`6h`), `hourly`, `daily`, or a line of cron "
        "(`30 4 * * SUN`) by this machine's clock.",
        "approve": "`ask`: what is newer waits for `atek update ID`, as it does anyway where there is data.",
        "writeBack": "True: what works is committed to the branch of the Git source that has this manifest.",
    },
    "Stop": {
        "signal": "The signal that asks it to end.",
        "gracePeriod": "After that, SIGKILL ends it.",
    },
    "Resources": {
        "memory": "Bytes of memory.",
        "cpu": "Cores, or a part of one.",
        "pids": "Processes and threads.",
        "openFiles": "Open files and connections of one process.",
        "disk": "Bytes of the data folder. A service that has more is ended, and waits until it has less.",
        "logRate": "Bytes that it may print in a second, ten times as much at once; the rest is left out of "
        "the log, which says so.",
    },
    "Secret": {
        "file": "A file of SOPS for this node's age recipient (`atek key`), or a plain one: beside this "
        "file; of a record, in its package.",
        "key": "Where in the file, as a dotted path: `db.password`, `users.0`. Left out: all of the file, "
        "as a variable without its last end of line.",
        "text": "Text around values: `${key}` stands for one of the file, `$$` for a dollar.",
        "as": "`env`: an environment variable; `file`: a file that only the service sees, in memory. "
        "`NAME_FILE` is its path.",
        "target": "Where the file is in a container. Left out: `/run/secrets/NAME`.",
        "mode": "Who may read the file in a container, like `0400`. Left out: everybody inside.",
        "uid": "The file's owner in a container.",
        "gid": "The file's group in a container.",
    },
    "Label": {"label": "All nodes that have this label."},
    "Build": {
        "dockerfile": "The file in the source that says how.",
        "args": "Values for its ARGs.",
        "target": "The stage to stop at.",
    },
    "Project": {
        "name": "The project's name.",
        "aliases": "Names under which the others of the project find this container.",
        "health": "Other times for the image's own health check.",
        "engine": "What only the engine has to know of it.",
    },
    "Engine": {
        "hostname": "The host name inside; left out: the service's id.",
        "domainname": "The domain inside.",
        "init": "Whether a small init runs its program.",
        "stdinOpen": "Whether its standard input stays open.",
        "workingDir": "The folder that it starts in, instead of the image's.",
        "shmSize": "Bytes of /dev/shm.",
        "tmpfs": "Folders in memory: `/run`, `/cache:size=64m`.",
        "extraHosts": "Names for its /etc/hosts: `printer:192.168.1.9`.",
    },
    "Health": {
        "interval": "Seconds between two checks.",
        "timeout": "Seconds that one may take.",
        "startPeriod": "Seconds at first in which failures do not count.",
        "retries": "Failures in a row after which it counts as unhealthy.",
    },
}
