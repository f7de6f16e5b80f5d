"""The scene of the golden flows: four domains, two firewalls, three servants, three clients, one chain.

In: nothing. Out: the text of every switch's entries by file name, always the same. Domain 1 is the headquarters with
the servants; links 1-2, 2-3, 2-4 and 3-4; a firewall in domain 1 and one in domain 3; clients in domains 2, 3 and 4.
"""

from pathlib import Path

from sdn_app.rules.text import rules_text
from tests.support.scenario import Scenario, build

HERE = Path(__file__).parent
EDGES = [(1, 2, 5.0), (2, 3, 5.0), (2, 4, 10.0), (3, 4, 5.0)]


def scene() -> Scenario:
    """The scenario, before it is planned."""
    return build(4, EDGES, [("firewall", [1, 3])], [1, 1, 1], [2, 3, 4])


def golden_texts() -> dict[str, str]:
    """File name -> text, one file a switch."""
    made = scene()
    rules = made.plan()
    texts = {}
    for dpid, entries in sorted(rules.items()):
        names = {number: port.name for number, port in made.inventory.switches[dpid].ports.items()}
        texts[f"s{dpid}.flows"] = rules_text(entries, names)
    return texts
