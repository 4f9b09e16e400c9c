"""``make bench``: measured against baselines taken in the same run, on whatever machine this is."""
