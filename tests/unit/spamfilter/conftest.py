"""Lets the tests import the image's own packages, as they are found in the container."""

import sys
from pathlib import Path

IMAGES = Path(__file__).resolve().parents[3] / "vnf_images"
for folder in (IMAGES / "base", IMAGES / "spamfilter"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
