"""What is compiled for the scene is what is kept in `*.flows`. Renew by `python -m tests.golden.renew`."""

import pytest

from tests.golden.scene import HERE, golden_texts

TEXTS = golden_texts()


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_entries_are_those_that_are_kept(name: str) -> None:
    assert TEXTS[name].splitlines() == (HERE / name).read_text().splitlines()


def test_no_file_is_left_over() -> None:
    assert {path.name for path in HERE.glob("*.flows")} == set(TEXTS)


def test_the_text_is_the_same_every_time() -> None:
    assert golden_texts() == TEXTS
