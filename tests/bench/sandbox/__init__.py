"""What a sandbox costs: the same program with none, in a private and in a strict one, in turn."""
