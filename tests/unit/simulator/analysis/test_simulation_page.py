"""The page with plots, pictures of placements, and the notebook."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import nbclient
import nbformat
import pytest

from testbed.simulator.analysis import charts
from testbed.simulator.analysis.measured import rounds
from testbed.simulator.analysis.pictures import draw
from testbed.simulator.analysis.report import page, svg, write
from testbed.simulator.model.entities import Entities
from testbed.simulator.model.state import State
from testbed.simulator.records.entities import write_entities
from testbed.simulator.records.writer import RoundRecorder

NOTEBOOK = Path(charts.__file__).with_name("Analysis.ipynb")


def test_a_page_needs_nothing_else_and_shows_every_plot(results: Path, tmp_path: Path) -> None:
    write(results, tmp_path / "new" / "report.html")
    text = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    assert text.count("<svg") == len(charts.CHARTS) == 6
    assert not re.findall(r'(?:src|href)="(?!#|data:)', text)
    assert "<script" not in text
    for words in ("2 rounds", "round 1", "295", "5 / 6", "s_0", "83.3 %", "Load of VNF instances", "1.5"):
        assert words in text
    for drawn in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(drawn)


def test_the_same_results_give_the_same_plot(results: Path) -> None:
    drawn = {svg(charts.delays(rounds(results)[0]), "delays") for _ in range(2)}
    assert len(drawn) == 1


def test_plots_have_titles_and_units(results: Path) -> None:
    measured = rounds(results)[0]
    for name, plot in charts.CHARTS.items():
        axes = plot(measured).axes[0]
        assert axes.get_title(loc="left")
        assert re.search(r"\((ms|s|%|W)\)", axes.get_xlabel() + axes.get_ylabel()), name


def test_results_without_logs_have_a_page(tmp_path: Path) -> None:
    nothing = Entities({}, {}, {}, {}, {}, {}, {})
    RoundRecorder(tmp_path / "Round_0", nothing, "parquet", links=False, vnf=False, packets=False).close()
    write_entities(tmp_path / "Entities", nothing, log_format="parquet")
    assert page(tmp_path).count("<svg") == 6


def test_a_folder_without_results_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no Round_N folder"):
        write(tmp_path, tmp_path / "report.html")


def test_a_placement_is_drawn(placed_state: State, tmp_path: Path) -> None:
    draw(placed_state, tmp_path / "Images" / "window_0.svg", "Placement at 0.5 s")
    text = (tmp_path / "Images" / "window_0.svg").read_text()
    ElementTree.fromstring(text)
    draw(placed_state, tmp_path / "again.svg", "Placement at 0.5 s")
    draw(State(placed_state.entities), tmp_path / "empty.png", "Nothing is placed")
    assert (tmp_path / "empty.png").read_bytes().startswith(b"\x89PNG")


def test_an_svg_holds_its_words(results: Path) -> None:
    assert "packets per second" in svg(charts.packets(rounds(results)[0]), "packets")


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert not [cell for cell in cells if cell["cell_type"] == "code" and (cell["outputs"] or cell["execution_count"])]


def test_the_notebook_runs_from_top_to_bottom_on_a_simulation_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("NSS_RESULTS", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    where = {"metadata": {"path": str(NOTEBOOK.parent)}}
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3", resources=where).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in shown) == 8
    assert any("2 rounds" in output.get("text", "") for output in shown)
