"""Tells people what they should know of: messages to the addresses of `[[notify]]`, by Apprise.

    status ─► facts (pure: what is so) ─► outbox (pure: what is new, who is told, when) ─► sending ─► people
                                             └── state/notify.json: told and still to be told

What is so is compared with what was told last, so a restart forgets nothing; a message leaves the outbox once
its address took it. In comes the node's status, out go messages. Imports `port`, `state` and `decide`.
"""
