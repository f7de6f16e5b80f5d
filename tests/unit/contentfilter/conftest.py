"""Makes the image's code importable, as the image itself does."""

from __future__ import annotations

import sys

from testbed.lab.images import IMAGES_FOLDER

for part in ("base", "contentfilter"):
    sys.path.append(str(IMAGES_FOLDER / part))
