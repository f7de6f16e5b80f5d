"""Holds the `parameters` of a placement or scaling against the constructor of its class.

In: a class and what the file has. Out: keyword arguments with values of the annotated types, or one error with all that is wrong. The
document and the original program name some arguments of the CPU scaling differently: both are taken. Must not do: create anything.
"""

import inspect
import typing
from collections.abc import Mapping
from typing import Any

from testbed.simulator.specification.problems import MISSING, Problems
from testbed.simulator.specification.typed import Reader

SPELLINGS = {
    "cpu_usage_max": "cpu_load_max",
    "cpu_usage_min": "cpu_load_min",
    "cpu_increment": "resource_increment",
    "cpu_decrement": "resource_decrement",
}
"""The document's word and the original program's."""
OTHER_SPELLINGS = SPELLINGS | {program: document for document, program in SPELLINGS.items()}


def check_arguments(cls: type, parameters: Mapping[str, Any], path: str, file: str = "") -> dict[str, Any]:
    """What to call `cls` with.

    Args:
        path: where the parameters stand in the file, such as "scaling.parameters".

    Raises:
        SpecificationError: a key that the constructor has not, one that it needs is missing, or a value of another type.
    """
    problems, arguments = Problems(file), dict[str, Any]()
    reader = Reader(problems, numerals=True)
    wanted = {
        name: parameter
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    }
    hints = typing.get_type_hints(cls.__init__) if wanted else {}  # type: ignore[misc]  # of the class itself, no instance
    for key, value in parameters.items():
        name = key if key in wanted else OTHER_SPELLINGS.get(key, key)
        if name not in wanted:
            problems.add(f"{path}.{key}", value, f"one of the keys {', '.join(wanted)}" if wanted else "no parameters")
        elif name in arguments:
            problems.add(f"{path}.{key}", value, f"only one of {key} and {OTHER_SPELLINGS[key]}")
        else:
            arguments[name] = reader.read(hints.get(name, Any), value, f"{path}.{key}")
    for name, parameter in wanted.items():
        if name not in arguments and parameter.default is inspect.Parameter.empty:
            problems.add(f"{path}.{name}", MISSING, "a value")
    problems.close()
    return arguments
