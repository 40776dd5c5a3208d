"""What callers of the Atek Database may do and say. Pure: values in, values or an `RpcError` out.

params, paths, schemas     what a caller may write, and what a value must be
access ─► entries          who may do it, by what the server database's tables say
errors                     why not, as JSON-RPC tells it
"""
