"""What scripts/stock-kernel runs inside the machine that it boots: checks of kernel, systemd, data plane and set-up script.

In: a booted Debian 12 with this checkout, root, and the file `.stock-kernel-commands` (one command a line). Out: on standard
output what the commands print, a table of checks, and a last line `stock-kernel: N passed, N failed`. Uses only Debian's own
Python: the virtual environment is one of the things that are tried. Not for a machine that one wants to keep as it is.
"""
