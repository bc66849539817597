"""Pictures of the boards: well-formed, with every panel and what its data says."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from voiceassist_monitoring.dashboards import Board, boards
from voiceassist_monitoring.pictures import draw, draw_all, tell
from voiceassist_monitoring.slo import Slo, read_slos
from voiceassist_monitoring.windows import HOUR, Scale

SLOS = read_slos((Path(__file__).parents[2] / "docs/slo.md").read_text())
BOARDS = boards(SLOS)
NAMESPACE = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [str(one.text) for one in ET.fromstring(svg).iter(f"{NAMESPACE}text")]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_a_picture_is_xml_and_has_every_panel(board: Board) -> None:
    data = {panel.title: [("shop/<a> & b", [(0.0, 1.0), (5.0, 3.0), (10.0, 2.0)])] for panel in board.panels}
    said = texts(draw(board, data, 0.0, 10.0))
    assert said[0] == board.title
    for panel in board.panels:
        assert any(panel.title.startswith(text.removesuffix("…")) for text in said[1:] if text), panel.title
    assert sum("shop/<a> & b".startswith(text.removesuffix("…")) for text in said if text) >= len(board.panels)
    assert "no data" not in said


def test_a_panel_without_data_says_so() -> None:
    board = BOARDS[0]
    said = texts(draw(board, {panel.title: [] for panel in board.panels}, 0.0, 10.0))
    assert said.count("no data") == len(board.panels)


class Answers:
    """A Prometheus that has one series for everything, with a hole in it, and one that is never a number."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def series(self, promql: str, begin: float, end: float, step: float) -> list[dict[str, Any]]:
        self.asked.append(promql)
        labels = {"namespace": "shop", "name": "support"}
        return [
            {"metric": labels, "values": [[begin, "1"], [begin + step, "NaN"], [end, "2"]]},
            {"metric": {"name": "never"}, "values": [[begin, "NaN"]]},
        ]


async def test_every_board_is_drawn_from_what_its_queries_answer(slos: tuple[Slo, ...], tmp_path: Path) -> None:
    answers = Answers()
    await draw_all(answers, slos, Scale(1 / 60, HOUR), 1000.0, 1240.0, tmp_path / "new")
    wanted = {board.uid for board in BOARDS}
    assert {path.stem for path in (tmp_path / "new").glob("*.svg")} == wanted
    assert not [query for query in answers.asked if "$" in query]
    for path in (tmp_path / "new").glob("*.svg"):
        assert "NaN" not in path.read_text()
        assert "never" not in path.read_text()


def test_the_documents_pictures_are_those_of_the_boards() -> None:
    folder = Path(__file__).parents[2] / "docs/images/dashboards"
    assert {path.stem for path in folder.glob("*.svg")} == {board.uid for board in BOARDS}
    for board in BOARDS:
        said = texts((folder / f"{board.uid}.svg").read_text())
        live = next(one for one in boards(SLOS, Scale(1 / 60, HOUR)) if one.uid == board.uid)
        for panel in live.panels:
            assert any(panel.title.startswith(text.removesuffix("…")) for text in said[1:] if text), f"{panel.title}: draw them anew"
        assert "no data" not in said


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.0123, "s", "12.3 ms"), (0.00004, "s", "40 µs"), (2.5, "s", "2.5 s"), (0.5, "percentunit", "50 %"), (2e8, "bytes", "200 MB")],
)
def test_values_are_told_with_their_unit(value: float, unit: str, text: str) -> None:
    assert tell(value, next(one for one in type(BOARDS[0].panels[0].unit) if one.value == unit)) == text
