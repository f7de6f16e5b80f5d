"""Limits of what algorithms take as parameters.

In: values by name. Out: an error that begins with the name, which the command completes with file and path. Pure.
"""


def at_least(least: float, **values: float) -> None:
    """Refuse parameters below a limit.

    Raises:
        ValueError: one is. The text names it.
    """
    for name, value in values.items():
        if not value >= least:
            raise ValueError(f"{name}: {value:g}: expected at least {least:g}")


def above(limit: float, **values: float) -> None:
    """Refuse parameters at a limit or below.

    Raises:
        ValueError: one is. The text names it.
    """
    for name, value in values.items():
        if not value > limit:
            raise ValueError(f"{name}: {value:g}: expected more than {limit:g}")
