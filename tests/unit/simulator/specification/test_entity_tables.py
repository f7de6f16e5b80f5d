"""Tables of entities, as `--list` and `--show` print them."""

from testbed.simulator.model.entities import Entities
from testbed.simulator.specification.tables import list_all, show_first, table

SMALL = """\
+------+------+
| Name | VNFs |
+------+------+
| s_0  | v_1, |
|      | v_2  |
+------+------+"""


def test_a_cell_of_two_lines_makes_a_row_of_two_lines() -> None:
    assert table([["Name"], ["VNFs"]], [[["s_0"], ["v_1,", "v_2"]]]) == SMALL


def test_all_entities_are_listed(entities: Entities) -> None:
    text = list_all(entities)
    assert all(f"| {name} " in text for name in (*entities.nodes, *entities.links, *entities.sfc_requests))
    assert "SFC Requests\n+" in text and "| Energy Max |" in text


def test_the_first_of_each_kind_is_shown(entities: Entities) -> None:
    text = show_first(entities)
    assert "| SFC Ingress / Egress |" in text and "n_0" in text and "l_0_1_0" not in text
    assert len({len(line) for line in text.split("\n\n")[0].splitlines()[1:]}) == 1


def test_kinds_without_entities_are_left_out() -> None:
    assert list_all(Entities({}, {}, {}, {}, {}, {}, {}, {})) == ""
