"""What follows from what is wanted and what is there. Pure: values in, values out, no clock and no disk.

In comes a `World` of one service; out go a `Decision` (`actions` to carry out, the `lifecycle` and the
`conditions` afterwards, when to look again) and a route for the router. `plan` is where to begin reading: it
asks nine questions in order, and each has the module that says so in its first line.
Imports the models of manifests, the values of runtimes.base and of the router's table, and no other room.
"""
