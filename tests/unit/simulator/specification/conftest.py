"""The benchmark's files, as values that a test may change, and entities drawn from them."""

import json
from pathlib import Path
from typing import Any

import pytest

from testbed.simulator.model.entities import Entities
from testbed.simulator.specification.generate import generate
from testbed.simulator.specification.specs_file import parse_specs

BENCHMARK = Path(__file__).parent / "benchmark"


@pytest.fixture
def spec() -> Any:
    return json.loads((BENCHMARK / "spec.json").read_text())


@pytest.fixture
def sim() -> Any:
    return json.loads((BENCHMARK / "sim.json").read_text())


@pytest.fixture
def entities(spec: Any) -> Entities:
    return generate(parse_specs(spec), seed=200, total_time=5000, time_window=500)
