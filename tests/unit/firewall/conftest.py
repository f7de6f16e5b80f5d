"""The firewall's code and the runtime it uses, which lie in their images' folders."""

import sys

from testbed.lab.images import IMAGES_FOLDER

for part in ("base", "firewall"):
    if str(IMAGES_FOLDER / part) not in sys.path:
        sys.path.append(str(IMAGES_FOLDER / part))
