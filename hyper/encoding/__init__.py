"""How what the port says is text. Pure: values in, text or values out; imports the port.

wire     requests and answers as lines of JSON on the daemon's socket
keys     a record's path as a key of the bee
link     a node's key as a person carries it to another machine
"""
