"""Key files are read as they are, or refused with the line and the reason and without the key."""

import pytest
from encryption.keys import KeysRefused, parse_keys
from encryption_support import KEYS

ONE, TWO = KEYS[1].hex(), KEYS[2].hex()


def test_comments_order_and_case_do_not_matter() -> None:
    ring = parse_keys(f"# keys\nsend=2\n\n1 = {ONE}  # the old one\n 2={TWO.upper()}\n", "k")
    assert (ring.sending, dict(ring.keys)) == (2, {1: KEYS[1], 2: KEYS[2]})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "k: no line `send = <id>`"),
        (f"send = 1\n2 = {TWO}", "k:1: send = 1, but there is no such key"),
        (f"1 = {ONE}\n1 = {TWO}\nsend = 1", "k:2: key 1 is there already"),
        (f"1 = {ONE}\n2 = {ONE}\nsend = 1", "k:2: key 2 has the digits of another key"),
        (f"send = 1\nsend = 1\n1 = {ONE}", "k:2: a second `send`; the first is in line 1"),
        (f"1 = {ONE[1:]}\nsend = 1", "k:1: the key has 63 digits; expected 64"),
        (f"1 = {ONE[1:]}g\nsend = 1", "k:1: the key has other signs than hex digits"),
        (f"1 = {'00' * 32}\nsend = 1", "k:1: the key is not random"),
        (f"0 = {ONE}\nsend = 0", "k:1: expected a key's id from 1 to 255"),
        (f"256 = {ONE}\nsend = 0", "k:1: expected a key's id from 1 to 255"),
        (f"1 {ONE}", "k:1: expected `<id>"),
        (f"1 = {ONE}\n\nnonsense = 3", "k:3: expected a key's id"),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_reason(text: str, said: str) -> None:
    with pytest.raises(KeysRefused) as refused:
        parse_keys(text, "k")
    assert str(refused.value).startswith(said)
    assert ONE[8:40] not in str(refused.value)
