"""The network slice simulator. Its inner loop runs as machine code where that was made of it (`compiled`)."""

from testbed.simulator import compiled as compiled  # before any of the modules that it chooses is imported
