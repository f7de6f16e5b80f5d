"""The container's first process: opens the TUN device, leaves root, and becomes `tini` with the filter as its child.

In: a container that starts as root. Out: process 1 and all below it as another user with two capabilities, and the open device, whose
number is the filter's argument. Root comes first only because the device's file is root's alone on some hosts. `tini` must not stay
root: without CAP_KILL it could not hand on the signals that stop and reload the filter.
"""

from __future__ import annotations

import os
import sys

from vnf import settings
from vnf.privileges import CAP_NET_ADMIN, CAP_NET_RAW, leave_root


def main() -> None:
    try:
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        os.set_inheritable(tun, True)
        leave_root(CAP_NET_ADMIN, CAP_NET_RAW)  # for packet sockets, foreign addresses and plumbing
    except OSError as error:
        settings.stop("cannot start", error=str(error), needs="/dev/net/tun, NET_ADMIN, NET_RAW, SETUID, SETGID")
    os.execvp("tini", ["tini", "--", sys.executable, "-m", "spamfilter", str(tun)])


if __name__ == "__main__":
    main()
