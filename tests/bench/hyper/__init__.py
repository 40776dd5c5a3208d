"""How fast records travel: beside the bare libraries, in one run."""
