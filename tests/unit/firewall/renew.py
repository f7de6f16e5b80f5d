"""Writes the golden nftables text anew: `python -m tests.unit.firewall.renew`."""

from tests.unit.firewall import conftest  # noqa: F401  (it makes the firewall's code importable)
from tests.unit.firewall.scene import GOLDEN, golden_text

if __name__ == "__main__":
    GOLDEN.write_text(golden_text())
