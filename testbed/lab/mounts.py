"""Takes away what a Docker daemon leaves mounted in the two folders that only it used, after it has ended.

In: such a folder, how the daemon that uses it is recognised, and the lock under which one is started. Out: the mounts that
dockerd made at and below that folder are gone, also those that earlier daemons left there, one on another. (dockerd binds its
data on itself and undoes it only where it ends well and found it undone; the name of a network namespace may stay even
then.) Must not touch a mount of another kind (a disk that somebody put there) nor what holds one, nor a folder that a daemon
still uses.
"""

import ctypes
import errno
import fcntl
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8  # umount(2)


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of mountinfo, proc(5): `root` is the folder of the file system `device` that is seen at `point`."""

    number: int
    parent: int
    device: str
    root: str
    point: str
    kind: str
    source: str


def unmount_left(folder: Path, user: str, lock: Path) -> None:
    """Unmount what a daemon that has ended left at and below `folder`; nothing where a process has the argument `user`.

    Raises OSError where a mount does not go. One that is busy leaves the tree at once, and ends with its last user.
    """
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # else a daemon that starts now would lose its mounts
        if _runs(user):
            return
        tried: set[int] = set()
        while going := [mount for mount in _left_now(folder) if mount.number not in tried]:
            tried.add(going[0].number)
            _unmount(going[0].point)


def _left_now(folder: Path) -> list[Mount]:
    """Read anew for every mount: where mounts are shared, one takes others with it."""
    return left_in(os.path.realpath(folder), parse(Path("/proc/self/mountinfo").read_text(errors="surrogateescape")))


def left_in(folder: str, mounts: Sequence[Mount]) -> list[Mount]:
    """dockerd's mounts at and below `folder`, each before what it lies on or in. `mounts` has parents first."""
    numbers = {mount.number: mount for mount in mounts}
    held = Counter(mount.parent for mount in mounts)  # how many mounts lie on or in each
    going = []
    for mount in reversed(mounts):
        inside = mount.point == folder or mount.point.startswith(folder + "/")
        if inside and not held[mount.number] and _of_dockerd(mount, numbers.get(mount.parent), folder):
            going.append(mount)
            held[mount.parent] -= 1
    return going


def parse(mountinfo: str) -> list[Mount]:
    """The mounts of /proc/PID/mountinfo, in its order."""
    found = []
    for line in mountinfo.removesuffix("\n").split("\n"):
        where, what = (half.split(" ") for half in line.split(" - ", 1))
        number, parent, device, root, point = where[:5]
        found.append(Mount(int(number), int(parent), device, _plain(root), _plain(point), what[0], _plain(what[1])))
    return found


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)


def _of_dockerd(mount: Mount, above: Mount | None, folder: str) -> bool:
    """A folder bound on itself; below `folder` also a network namespace, a container's files or its shared memory."""
    if above is not None and mount.device == above.device:
        seen = os.path.join(above.root, os.path.relpath(mount.point, above.point))
        if os.path.normpath(seen) == mount.root:
            return True
    container = mount.kind in ("nsfs", "overlay") or (mount.kind, mount.source) == ("tmpfs", "shm")
    return container and mount.point != folder


def _runs(argument: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if os.fsencode(argument) in path.read_bytes().split(b"\0"):
                return True
        except OSError:  # it has just ended
            continue
    return False


def _unmount(point: str) -> None:
    """The uppermost mount at `point`; where there is none, nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    for flags in (UMOUNT_NOFOLLOW, UMOUNT_NOFOLLOW | MNT_DETACH):
        if libc.umount2(os.fsencode(point), flags) == 0:
            return
        number = ctypes.get_errno()
        if number in (errno.EINVAL, errno.ENOENT):  # it is no mount, or no longer
            return
        if number != errno.EBUSY:
            break
    raise OSError(number, os.strerror(number), point)
