"""Entities as JSON, without loss: what `--save` writes and `--load` reads.

In, out: entities; a JSON object with a list for each kind, in order. Must not do: draw, or repair.
"""

import dataclasses
import json
import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from testbed.simulator.model.entities import Entities
from testbed.simulator.specification.consistency import check_entities
from testbed.simulator.specification.problems import Problems, read_json
from testbed.simulator.specification.typed import Reader

KINDS = tuple(each.name for each in dataclasses.fields(Entities))


def save(entities: Entities, path: Path | str) -> None:
    """Write them; a file that is there is replaced."""
    lines = [
        f"{json.dumps(kind)}: [\n" + ",\n".join(json.dumps(each, ensure_ascii=False) for each in values) + "\n]"
        for kind, values in to_json(entities).items()
    ]
    Path(path).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def load(path: Path | str) -> Entities:
    """Raises:
    SpecificationError: the file cannot be read, something in it is wrong, or its entities do not fit together.
    """
    return from_json(read_json(path), str(path))


def to_json(entities: Entities) -> dict[str, list[dict[str, Any]]]:
    """As values of JSON."""
    return {kind: [_plain(each) for each in getattr(entities, kind).values()] for kind in KINDS}


def from_json(value: object, file: str = "") -> Entities:
    """Raises:
    SpecificationError: something in it is wrong; names all of it.
    """
    problems = Problems(file)
    types = {name: typing.get_args(hint)[1] for name, hint in typing.get_type_hints(Entities).items()}
    if not isinstance(value, dict) or value.keys() != types.keys():
        problems.add("", sorted(value) if isinstance(value, dict) else value, f"an object with {', '.join(types)}")
        problems.close()
    members = typing.cast(dict[str, Any], value)
    read = {kind: Reader(problems).read(list[types[kind]], members[kind], kind) for kind in types}  # type: ignore[valid-type]
    problems.close()
    for kind, entities in read.items():
        seen: set[str] = set()
        for i, each in enumerate(entities):
            if each.name in seen:
                problems.add(f"{kind}[{i}].name", each.name, "a name of its own")
            seen.add(each.name)
    problems.close()
    result = Entities(**{kind: {each.name: each for each in entities} for kind, entities in read.items()})
    check_entities(result, problems)
    problems.close()
    return result


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return value
