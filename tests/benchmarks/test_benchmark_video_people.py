import cv2
import numpy as np
import pytest

from benchmarks.video_people import run
from reid_edge import ReId
from reid_edge.errors import BoxFileError, DatasetError, OptionError, VideoError

BOXES = ((5, 5, 20, 48), (40, 8, 22, 50), (80, 6, 18, 46))


@pytest.fixture
def scene(tmp_path):
    """Three people of plain but different colours, who stand still for six seconds."""
    path, truth = tmp_path / "v.avi", tmp_path / "gt.txt"
    frame = np.full((64, 112, 3), 128, np.uint8)
    for (x, y, w, h), colour in zip(BOXES, ((250, 0, 0), (0, 250, 0), (0, 0, 250)), strict=True):
        frame[y : y + h, x : x + w] = colour
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (112, 64))
    for _ in range(30):
        writer.write(frame)
    writer.release()
    rows = [
        f"{number},{pid},{x},{y},{w},{h},1"
        for number in range(1, 31)
        for pid, (x, y, w, h) in enumerate(BOXES, 1)
    ]
    truth.write_text("\n".join(rows))
    return path, truth


def test_people_who_do_not_change_are_found_again(scene):
    figures = run(*scene, every=1.0, block=2.0)
    assert figures["people"] == 3
    assert figures["rank1"] == figures["mAP"] == 1
    assert figures["queries"] == 9  # three people, three blocks
    assert figures["queries"] + figures["gallery"] == 18


def test_only_the_frames_asked_for_are_embedded(scene, monkeypatch):
    seen = []
    original = ReId.embed
    monkeypatch.setattr(
        ReId, "embed", lambda *args, **options: seen.append(1) or original(*args, **options)
    )
    run(*scene, every=1.0, block=2.0)
    assert len(seen) == 6  # of thirty


@pytest.mark.parametrize(
    ("row", "says"), [("31,0,5,5,20,48,1", "id from 1 up"), ("1,2,5,5,20,48,1", "no two alike")]
)
def test_a_truth_without_true_ids_is_refused(scene, row, says):
    video, truth = scene
    truth.write_text(f"{truth.read_text()}\n{row}\n")
    with pytest.raises(BoxFileError, match=says):
        run(video, truth)


def test_a_video_that_ends_early_gives_no_figures(scene):
    video, truth = scene
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    with pytest.raises(VideoError, match="ends after"):
        run(video, truth)


def test_times_that_are_none(scene):
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        for name in ("every", "block"):
            with pytest.raises(OptionError, match=f"--{name}"):
                run(*scene, **{name: wrong})
    with pytest.raises(DatasetError, match="smaller --every"):
        run(*scene, every=60.0)


def test_one_block_has_nobody_to_find(scene):
    with pytest.raises(DatasetError, match="--block"):
        run(*scene, every=1.0, block=60.0)
