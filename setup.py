"""What setup.cfg cannot say: the modules that mypyc compiles. Without a C compiler they stay Python."""

import os
import sys
from pathlib import Path

from mypyc.build import mypycify
from setuptools import setup

root = Path(__file__).parent
sys.path.insert(0, str(root))
from testbed.simulator import compiled  # noqa: E402

for old in compiled.FOLDER.glob("engine_*__mypyc.*"):  # of a source before this one
    old.unlink()
modules = [os.path.relpath(compiled.source(module), root) for module in compiled.MODULES]
extensions = mypycify(["--ignore-missing-imports", *modules], group_name=compiled.group())
for extension in extensions:
    extension.optional = True
    extension.extra_compile_args.append("-ffp-contract=off")  # the same bytes as Python's on every processor
setup(ext_modules=extensions)
