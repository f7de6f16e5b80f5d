"""Makes the image's modules importable."""

import sys

from testbed.lab import images

for part in ("base", "encryption"):
    sys.path.append(str(images.IMAGES_FOLDER / part))
