"""Save the images of this checkout for the machine in QEMU, where building them would take long or a network.

In: a file's name. Out: that file, for `docker load`. A daemon is started for it where none runs, and stopped again.
"""

import sys
from pathlib import Path

from testbed.lab.dockerd import ensure_docker
from testbed.lab.images import HUB_IMAGE, IMPORTED_IMAGE, ensure_images
from testbed.lab.record import LabRecord, run


def main() -> int:
    """Build what is missing, save everything; 1 where that did not work."""
    record = LabRecord("stock-kernel")
    try:
        client = ensure_docker(record)
        tags = list(ensure_images(client).values())
        have = {tag for image in client.images.list() for tag in image.tags}
        problem = run(
            "docker", "save", "-o", sys.argv[1], *tags, *sorted(have & {HUB_IMAGE, IMPORTED_IMAGE}), timeout_s=600
        )
        if problem:
            Path(sys.argv[1]).unlink(missing_ok=True)
            print(problem, file=sys.stderr)
        return 1 if problem else 0
    finally:
        record.undo()


if __name__ == "__main__":
    sys.exit(main())
