import json
import math

import pytest

pytest.importorskip("torch", reason="the train extra is not installed")
pyplot = pytest.importorskip("matplotlib.pyplot", reason="the train extra is not installed")

from training import curves


def point(step, **more):
    return {"step": step, "embedding": 0.5, "rank1": 0.5, "mAP": 0.4, **more}


@pytest.fixture
def drawn(recipe, tmp_path, monkeypatch):
    """Draws a history; gives the lines of both plots by their labels."""

    def draw(history):
        monkeypatch.setattr(pyplot, "close", lambda figure: None)
        curves.write(history, recipe, tmp_path)
        assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
        assert json.loads((tmp_path / "curves.json").read_text()) == history
        axes = pyplot.gcf().axes
        return [{line.get_label(): line for line in one.get_lines()} for one in axes]

    yield draw
    monkeypatch.undo()
    pyplot.close("all")


def test_a_loss_that_some_stages_lack_leaves_a_gap(drawn):
    history = [point(1, circle=3.0), point(2), point(3, circle=1.0)]
    losses, _ = drawn(history)
    values = list(losses["circle"].get_ydata())
    assert values[0::2] == [3.0, 1.0]
    assert math.isnan(values[1])
    assert list(losses["circle"].get_xdata()) == [1, 2, 3]


def test_a_loss_that_no_stage_has_is_not_drawn(drawn):
    losses, accuracy = drawn([point(1), point(2, train_accuracy=0.2)])
    assert "circle" not in losses
    assert list(losses["embedding"].get_ydata()) == [0.5, 0.5]
    assert math.isnan(accuracy["training people: identity, augmented"].get_ydata()[0])


def test_a_history_without_a_point_is_drawn_as_empty_plots(drawn):
    losses, accuracy = drawn([])
    assert losses == {}
    assert all(len(line.get_xdata()) == 0 for line in accuracy.values())
