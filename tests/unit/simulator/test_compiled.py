"""The engine as machine code: it is used where it is of the source that is there, and its results are those of the source."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.simulator import compiled
from tests.support.simulated import contents

EXAMPLES = compiled.FOLDER / "examples"


def python(*words: str, **variables: str) -> str:
    """What a Python says that runs these words."""
    environment = {name: value for name, value in os.environ.items() if name != compiled.VARIABLE} | variables
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def copied(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have a copy of the modules and of their machine code looked at."""
    for module in compiled.MODULES:
        for path in compiled.source(module).parent.glob(f"{module.rpartition('.')[2]}.*"):
            (folder / path.relative_to(compiled.FOLDER)).parent.mkdir(exist_ok=True)
            shutil.copy(path, folder / path.relative_to(compiled.FOLDER))
    monkeypatch.setattr(compiled, "FOLDER", folder)
    monkeypatch.delenv(compiled.VARIABLE, raising=False)


def test_the_set_up_has_compiled_what_is_here() -> None:
    assert python("-c", "from testbed.simulator import compiled; print(compiled.described())") == "machine code\n", (
        "./scripts/setup compiles it"
    )


@pytest.mark.parametrize(("variables", "suffix"), [({}, ".so"), ({compiled.VARIABLE: "1"}, ".py")])
def test_what_is_chosen_runs(variables: dict[str, str], suffix: str) -> None:
    modules = [f"testbed.simulator.{module}" for module in compiled.MODULES]
    told = python(
        "-c",
        f"import {', '.join(modules)}, sys; [print(sys.modules[each].__file__) for each in {modules}]",
        **variables,
    )
    assert [Path(line).suffix for line in told.splitlines()] == [suffix] * len(modules)


def test_machine_code_gives_the_bytes_of_the_source(tmp_path: Path) -> None:
    files = ["--specs", str(EXAMPLES / "specs.json"), "--simulation_parameters", str(EXAMPLES / "parameters.json")]
    words = ["-m", "testbed.simulator", *files, "--path_result_files"]
    assert "engine: machine code\n" in python(*words, str(tmp_path / "machine"))
    assert f"engine: Python source, slower, since {compiled.VARIABLE} is set\n" in python(
        *words, str(tmp_path / "source"), **{compiled.VARIABLE: "1"}
    )
    machine, source = contents(tmp_path / "machine"), contents(tmp_path / "source")
    assert len(machine["Round_0/links.csv"]) > 1_000_000
    assert machine == source


def test_a_source_that_changed_is_what_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copied(monkeypatch, tmp_path)
    assert compiled.why_not() is None
    changed = compiled.source("engine.core")
    changed.write_text(changed.read_text() + "\n")
    assert compiled.why_not() == "it has changed since it was compiled"


def test_without_machine_code_the_source_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copied(monkeypatch, tmp_path)
    for path in (tmp_path / "engine").glob("parts.*.so"):
        path.unlink()
    assert compiled.why_not() == "it was not compiled when it was installed"


def test_a_variable_asks_for_the_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copied(monkeypatch, tmp_path)
    monkeypatch.setenv(compiled.VARIABLE, "1")
    assert compiled.why_not() == "NSS_PURE_PYTHON is set"
