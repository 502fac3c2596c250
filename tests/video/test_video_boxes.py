"""Files of boxes: MOT text and JSON, good and hostile."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from reid_edge.errors import BoxFileError
from reid_edge.video import boxes

# What to do about it, in the second half of each message.
STEP = re.compile("[;,:] (so add|give|leave|mend|write) ")


@pytest.fixture
def read(tmp_path):
    def read(content, name="boxes.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return boxes.read(path)

    return read


def test_mot_text_gives_corners_by_frame(read):
    found = read("2,5,10,20,30,40,0.5,-1,-1,-1\n\n1,-1,1.5,2,3,4\n2,6,0,0,5,5,0.25\n")
    assert sorted(found) == [1, 2]
    np.testing.assert_array_equal(found[1].boxes, [[1.5, 2, 4.5, 6]])
    np.testing.assert_array_equal(found[1].confidence, [1])
    np.testing.assert_array_equal(found[2].boxes, [[10, 20, 40, 60], [0, 0, 5, 5]])
    np.testing.assert_array_equal(found[2].confidence, [0.5, 0.25])
    np.testing.assert_array_equal(found[2].ids, [5, 6])


def test_json_gives_the_same(read):
    content = {
        "frames": [
            {"frame": 2, "boxes": [[10, 20, 40, 60], [0, 0, 5, 5.5]], "confidence": [0.5, None]},
            {"frame": 1, "boxes": [[1, 2, 3, 4]], "ids": [9]},
            {"frame": 3, "boxes": []},
        ]
    }
    found = read(json.dumps(content), "boxes.json")
    assert sorted(found) == [1, 2]
    np.testing.assert_array_equal(found[2].boxes, [[10, 20, 40, 60], [0, 0, 5, 5.5]])
    np.testing.assert_array_equal(found[2].confidence, [0.5, 1])
    np.testing.assert_array_equal(found[2].ids, [-1, -1])
    np.testing.assert_array_equal(found[1].ids, [9])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("1,1,10,20,30,40,1\n1,2,nan,20,30,40,1\n", "line 2: .*no box"),
        ("1,1,10,20,inf,40,1\n", "line 1: .*no box"),
        ("1,1,10,20,30,1e30,1\n", "line 1: .*no box"),
        ("1,1,10,20,30,40,nan\n", "confidence"),
        ("0,1,10,20,30,40,1\n", "frame: expected 1, 2.* add 1"),
        ("1,1,0,0,9,9\x0b\n1,1,nan,0,9,9\n", "line 2: "),
        ("1.5,1,10,20,30,40,1\n", "frame: expected 1, 2"),
        ("nan,1,10,20,30,40,1\n", "frame: expected 1, 2"),
        ("1,0.5,10,20,30,40,1\n", "id: expected a whole number"),
        ("1,1,10,20,30\n", "expected frame,id,x,y,w,h"),
        ("frame,id,x,y,w,h\n", "not all numbers"),
        ("1" + ",1" * 99, "expected frame,id,x,y,w,h"),
        ("", "holds no boxes"),
        (" \n\n", "holds no boxes"),
        (b"\xff\xfe\x00", "is no text"),
        ("1,1,0,0,9,9\n" * 1001, "frame 1 has 1,001 boxes"),
    ],
)
def test_mot_text_that_is_refused(read, content, says):
    with pytest.raises(BoxFileError, match=says) as refused:
        read(content)
    assert STEP.search(str(refused.value))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "expected"),
        ('{"frames": {}}', "expected"),
        ('{"frames": []}', "holds no boxes"),
        ('{"frames": [3]}', r"frames\[0\]: expected an object"),
        ('{"frames": [{"frame": 1}]}', "boxes: expected a list"),
        ('{"frames": [{"boxes": [[1, 2, 3, 4]]}]}', "frame: expected 1, 2"),
        ('{"frames": [{"frame": true, "boxes": [[1, 2, 3, 4]]}]}', "frame: expected 1, 2"),
        ('{"frames": [{"frame": 1, "boxes": [[1, 2, 3]]}]}', r"boxes\[0\]: expected"),
        ('{"frames": [{"frame": 1, "boxes": [[1, 2, NaN, 4]]}]}', "no box"),
        ('{"frames": [{"frame": 1, "boxes": [[1, 2, "3", 4]]}]}', "no box"),
        ('{"frames": [{"frame": 1, "boxes": [[1, 2, 1%s, 4]]}]}' % ("0" * 400), "no box"),
        ('{"frames": [{"frame": 1, "boxes": [[1, 2, 3, 4]], "ids": []}]}', "ids: expected a list"),
        ('{"frames": [{"frame": 1, "boxes": [[1, 2, 3, 4]], "ids": [1e400]}]}', "id: expected"),
        ('{"frames": [{"frame": 1, "boxes": [[1, 2, 3, 4]], "confidence": ["1"]}]}', "confidence"),
    ],
)
def test_json_that_is_refused(read, content, says):
    with pytest.raises(BoxFileError, match=says) as refused:
        read(content, "boxes.json")
    assert STEP.search(str(refused.value))


def test_a_file_that_is_not_there_or_too_large(tmp_path, monkeypatch):
    with pytest.raises(BoxFileError, match="check the path"):
        boxes.read(tmp_path / "none.txt")
    monkeypatch.setattr(boxes, "MAX_BYTES", 10)
    (tmp_path / "large.txt").write_text("1,1,0,0,9,9,1\n")
    with pytest.raises(BoxFileError, match="larger than"):
        boxes.read(tmp_path / "large.txt")
    monkeypatch.setattr(boxes, "MAX_JSON_BYTES", 5)
    (tmp_path / "large.json").write_text('{"frames": []}')
    with pytest.raises(BoxFileError, match="larger than 5 bytes"):
        boxes.read(tmp_path / "large.json")


def test_boxes_take_little_more_memory_than_their_numbers(read, monkeypatch):
    import tracemalloc

    text = "".join(f"{n // 10 + 1},-1,100.25,200.5,30.75,80.5,0.9\n" for n in range(20_000))
    monkeypatch.setattr(boxes, "MAX_BYTES", 2 << 20)  # as much is set aside before reading
    tracemalloc.start()
    try:
        found = read(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(found) == 2000
    assert peak < 300 * 20_000  # bytes; with a tuple of floats a box, over 400


def test_what_is_kept_is_what_can_be_embedded(tiny):
    # Two pixels wide in float32, of which only one has its centre inside.
    narrow = np.array([[np.nextafter(np.float32(0.5), np.float32(1)), 0, 2.5, 9]], np.float32)
    assert narrow[0, 2] - narrow[0, 0] == 2
    wide = np.array([[0.4, 0, 2.3, 9]], np.float32)  # under two, and yet two centres
    both = boxes.Detections(
        np.concatenate([narrow, wide]), np.ones(2, np.float32), np.array([1, 2])
    )
    here = both.clipped(height=64, width=96)
    assert here.ids.tolist() == [2]
    assert tiny.embed(np.zeros((64, 96, 3), np.uint8), boxes=here.boxes).shape[0] == 1


def test_boxes_are_clipped_and_those_outside_left_out(read):
    found = read(
        "1,1,-5,-5,20,20\n1,2,200,10,20,20\n1,3,90,10,50,20\n1,4,10,10,-3,5\n1,5,9,9,1,9\n"
    )
    here = found[1].clipped(height=64, width=96)
    np.testing.assert_array_equal(here.boxes, [[0, 0, 15, 15], [90, 10, 96, 30]])
    np.testing.assert_array_equal(here.ids, [1, 3])
    assert len(boxes.NONE.clipped(64, 96)) == 0
