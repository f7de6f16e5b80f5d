"""Holds a parsed value against one of the `schemas`, and says what is wrong in the words of a problem document.

In: the name of a schema (or a schema) and a value. Out: nothing, or `Problem` 422 with a fault for each member. Whether
the things that are named exist is the backend's matter.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from sdn_app.api.problems import Fault, Problem
from sdn_app.api.schemas import SCHEMAS

MOST_FAULTS = 20  # shown of one request


def check(schema_name: str, value: object) -> None:
    """Raises:
    Problem: 422 where `value` is not of the schema of that name.
    """
    faults: list[Fault] = []
    for error in _validator(schema_name).iter_errors(value):
        faults.extend(fault for fault in _faults(error) if fault not in faults)
        if len(faults) >= MOST_FAULTS:
            break
    if faults:
        raise Problem(422, f"the body is not a valid {schema_name}", faults[:MOST_FAULTS])


def check_query(query: Mapping[str, str], parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The values of a query whose `parameters` are all numbers (their schemas by name), with their defaults filled in.

    Raises:
        Problem: 400 where a parameter is not known or its value is not of its schema.
    """
    values: dict[str, float] = {name: schema["default"] for name, schema in parameters.items()}
    for name, text in query.items():
        if name not in parameters:
            expected = f"one of {sorted(parameters)}" if parameters else "no query parameters"
            raise Problem(400, "unknown query parameter", [Fault(f"?{name}", text, expected)])
        schema = parameters[name]
        least, greatest = schema["minimum"], schema["maximum"]
        number = float(text) if re.fullmatch(r"-?[0-9]{1,6}(\.[0-9]{1,6})?", text) else None
        if number is None or not least <= number <= greatest:
            fault = Fault(f"?{name}", text, f"a number from {least} to {greatest}")
            raise Problem(400, "invalid query parameter", [fault])
        values[name] = number
    return values


def pointer(path: Sequence[str | int]) -> str:
    """The JSON pointer (RFC 6901) of a member."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[ValidationError]:
    """`$` is the end of the text, as in ECMA 262; Python's also stands before a last line feed."""
    if isinstance(value, str) and not re.search(pattern.replace("$", r"\Z"), value):
        yield ValidationError(f"does not match {pattern}")


_Strict = extend(Draft202012Validator, {"pattern": _pattern})


@cache
def _validator(name: str) -> Any:
    return _Strict({"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}})


def _faults(error: ValidationError) -> list[Fault]:
    if error.validator in ("oneOf", "anyOf") and error.context:
        return [fault for inner in _nearest_branch(error.context) for fault in _faults(inner)]
    path, schema = list(error.absolute_path), error.schema
    if error.validator == "additionalProperties":
        known = sorted(schema["properties"])
        extra = [name for name in error.instance if name not in schema["properties"]]
        return [Fault(pointer([*path, name]), error.instance[name], f"one of the members {known}") for name in extra]
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return [Fault(pointer([*path, name]), None, "this member, which is required") for name in missing]
    return [Fault(pointer(path), error.instance, _expected(error))]


def _nearest_branch(errors: Sequence[ValidationError]) -> list[ValidationError]:
    """The errors of the alternative that was probably meant: the one with the fewest of another shape."""
    branches: dict[object, list[ValidationError]] = {}
    for error in errors:
        branches.setdefault(error.relative_schema_path[0], []).append(error)
    shape = ("type", "required", "additionalProperties")
    return min(
        branches.values(),
        key=lambda branch: sum(not error.relative_path and error.validator in shape for error in branch),
    )


def _expected(error: ValidationError) -> str:
    value, described = error.validator_value, error.schema.get("description", "")
    said = {
        "type": f"type {' or '.join(value) if isinstance(value, list) else value}",
        "enum": f"one of {json.dumps(value)}",
        "minimum": f"at least {value}",
        "exclusiveMinimum": f"more than {value}",
        "maximum": f"at most {value}",
        "pattern": f"text that matches {value}",
        "minItems": f"at least {value} elements",
        "maxItems": f"at most {value} elements",
        "uniqueItems": "elements that differ",
        "minLength": f"at least {value} characters",
        "maxLength": f"at most {value} characters",
        "minProperties": f"at least {value} members",
    }.get(str(error.validator), error.message)
    return f"{said} ({described})" if described else said
