"""Where everything lies: binaries and images by version, and one slot per cluster that can run side by side."""

import os
from pathlib import Path

#: Binaries, images and slots; outside the source tree, so that a clean clone finds them again.
HOME = Path(os.environ.get("KECS_STATE_REAL_HOME") or Path.home() / ".cache" / "kecs-state" / "real")
BINARIES = HOME / "binaries"
IMAGES = HOME / "images"
SLOTS = HOME / "slots"
