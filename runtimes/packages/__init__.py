"""How a package becomes ready to run: fetched, copied, installed and built once for each revision.

In: a Service with its package (a folder, or a version of a Git repository). Out: a copy in packages/<id>/ and
the `Program` that runs in it. Imports processes (tools are started there), data and the ports.

node, python, native ── a Preparer each, all of them `stored`: over store, the copies on the disk, and copying
node_*, python_*, uv, workspaces ── what the author's tools would do   trees, fingerprints, written_files
git, git_remote, git_history, git_lfs ── versions of repositories      tools, environment ── running a tool
"""
