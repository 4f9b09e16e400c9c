"""``make demo``: the main job, seen end to end on the embedded sandbox."""
