from __future__ import annotations

import os
from pathlib import Path

import pytest

from reid_edge import datasets
from reid_edge.datasets import Sample
from reid_edge.errors import DatasetError


@pytest.fixture
def touch(tmp_path):
    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make


def labels(samples):
    return [(sample.path.name, sample.pid, sample.camid) for sample in samples]


MARKET = (
    "bounding_box_train/0002_c1s1_000451_03.jpg",
    "bounding_box_train/0007_c3s3_077419_03.jpg",
    "query/0003_c2s1_000151_00.jpg",
    "bounding_box_test/-1_c1s1_000401_03.jpg",
    "bounding_box_test/0000_c4s2_000001_01.jpg",
    "bounding_box_test/0003_c1s1_000151_01.jpg",
    "bounding_box_test/Thumbs.db",
)


@pytest.mark.parametrize("base", ["", "Market-1501-v15.09.15/"])
def test_market_1501_is_found_in_either_folder(touch, base):
    root = touch(*(base + name for name in MARKET))
    assert labels(datasets.market1501_train(root)) == [
        ("0002_c1s1_000451_03.jpg", 2, 1),
        ("0007_c3s3_077419_03.jpg", 7, 3),
    ]
    test = datasets.open_test(f"market1501:{root}")
    assert labels(test.query) == [("0003_c2s1_000151_00.jpg", 3, 2)]
    # Junk (-1) is dropped, the distractor (0) stays.
    assert labels(test.gallery) == [
        ("0000_c4s2_000001_01.jpg", 0, 4),
        ("0003_c1s1_000151_01.jpg", 3, 1),
    ]


def test_folders_are_searched_deeply_and_in_order(touch):
    root = touch("b/2_c10_x.png", "a/1_c2s9_x.JPG", "a/._1_c2_x.jpg", "notes.txt", "c.jpg/x.txt")
    assert labels(datasets.folder(root)) == [("1_c2s9_x.JPG", 1, 2), ("2_c10_x.png", 2, 10)]


def test_pku_reads_both_halves(touch):
    root = touch("train/5/1_3.png", "val/all_imgs/12/2_8.png", "val/query/12/2_8.png")
    assert labels(datasets.pku(root)) == [("1_3.png", 5, 1), ("2_8.png", 12, 2)]


@pytest.mark.parametrize(
    "name", ["val/x/1_1.png", "val/5/1.png", "val/5/1_1_1.png", "val/²/1_1.png", f"{9:010}/1_1.png"]
)
def test_pku_refuses_other_names(touch, name):
    with pytest.raises(DatasetError, match=r"expected <pid>/<cam>_<orientation>\.png"):
        datasets.pku(touch(name))


@pytest.mark.parametrize("name", ["a.jpg", "0002c1_x.jpg", "x_c1_x.jpg", f"{'1' * 10}_c1_x.jpg"])
def test_folder_refuses_other_names_with_the_fix(touch, name):
    with pytest.raises(DatasetError, match=f"{name}: expected a name like .*rename the file"):
        datasets.folder(touch(name))


def test_a_folder_that_is_missing_or_empty_says_so(touch, tmp_path):
    with pytest.raises(DatasetError, match="no such folder; give the folder that holds the pic"):
        datasets.folder(tmp_path / "absent")
    with pytest.raises(DatasetError, match=r"no pictures \(\.bmp, \.jpeg"):
        datasets.folder(touch("notes.txt"))
    with pytest.raises(DatasetError, match="no bounding_box_test here; give the folder"):
        datasets.market1501_test(tmp_path)


@pytest.mark.parametrize("spec", ["market1501", "duke:x", ":x", ""])
def test_an_unknown_layout_lists_the_known_ones(spec):
    with pytest.raises(DatasetError, match="market1501, cuhk03, folder or pku"):
        datasets.open_test(spec)


def test_the_known_layouts_are_those_of_the_list(monkeypatch):
    monkeypatch.setattr(datasets, "LAYOUTS", ("one", "two", "three"))
    with pytest.raises(
        DatasetError, match="where LAYOUT is one, two or three, such as folder:crops"
    ):
        datasets.open_test("four:x")


def test_a_colon_in_the_path_is_part_of_it(touch):
    root = touch("a:b/1_c1_x.jpg", "a:b/1_c2_x.jpg", "a:b/1_c2_y.jpg")
    assert len(datasets.open_test(f"folder:{root / 'a:b'}").query) == 2


def samples(*pairs):
    return [Sample(f"{index}", pid, camid) for index, (pid, camid) in enumerate(pairs)]


def test_each_identity_asks_once_from_each_camera():
    people = samples((1, 1), (1, 1), (1, 2), (2, 1), (3, 2), (3, 1), (3, 1), (2, 1))
    test = datasets.one_query_per_camera(people)
    assert [sample.path for sample in test.query] == ["0", "2", "4", "5"]
    # Person 2 was seen by one camera only.
    assert [sample.path for sample in test.gallery] == ["1", "3", "6", "7"]


def test_junk_neither_asks_nor_is_asked_for():
    people = samples((-1, 1), (-1, 2), (1, 1), (1, 2), (1, 2))
    test = datasets.one_query_per_camera(people)
    assert [sample.path for sample in test.query] == ["2", "3"]
    assert [sample.path for sample in test.gallery] == ["4"]


def test_distractors_are_many_people_and_never_ask():
    people = samples((0, 1), (0, 2), (0, 2), (1, 1), (1, 2), (1, 2))
    test = datasets.one_query_per_camera(people)
    assert [sample.path for sample in test.query] == ["3", "4"]
    assert [sample.path for sample in test.gallery] == ["0", "1", "2", "5"]


def test_what_cannot_be_read_is_not_left_out_silently(touch):
    root = touch("0001_c1_1.jpg")
    (root / "0002_c1_1.jpg").symlink_to("nowhere")
    os.mkfifo(root / "0003_c1_1.jpg")
    (root / "0004_c1_1.jpg").mkdir()
    assert [sample.pid for sample in datasets.folder(root)] == [1, 2, 3]


def test_one_camera_only_cannot_be_a_test():
    with pytest.raises(DatasetError, match="no identity was seen by two cameras"):
        datasets.one_query_per_camera(samples((1, 1), (2, 1), (2, 1)))


def test_of_people_with_one_picture_a_camera_the_first_asks():
    people = samples((1, 2), (1, 1), (2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (3, 2), (4, 1))
    test = datasets.one_query_per_camera(people)
    assert [sample.path for sample in test.query] == ["0", "2", "5", "6"]
    assert [sample.path for sample in test.gallery] == ["1", "3", "4", "7", "8"]


def test_a_home_folder_behind_the_colon_is_found(touch, monkeypatch):
    folder = touch("0001_c1_1.jpg", "0001_c2_1.jpg", "0001_c2_2.jpg")
    monkeypatch.setenv("HOME", str(folder))
    assert len(datasets.open_test("folder:~").gallery) == 1


def test_the_new_protocol_of_cuhk03_is_its_query_and_gallery(touch):
    root = touch(
        "labeled/query/0003_c1_21.png",
        "labeled/bounding_box_test/0003_c2_22.png",
        "labeled/bounding_box_test/0005_c1_41.png",
        "labeled/bounding_box_train/0001_c1_1.png",
    )
    test = datasets.open_test(f"cuhk03:{root / 'labeled'}")
    assert labels(test.query) == [("0003_c1_21.png", 3, 1)]
    assert labels(test.gallery) == [("0003_c2_22.png", 3, 2), ("0005_c1_41.png", 5, 1)]
    with pytest.raises(DatasetError, match="labeled or detected"):
        datasets.open_test(f"cuhk03:{root}")


def test_a_folder_of_cuhk03_pictures_asks_once_per_camera(touch):
    root = touch("00001_c1_00.jpg", "00001_c1_01.jpg", "00001_c2_00.jpg", "00001_c2_01.jpg")
    test = datasets.open_test(f"cuhk03:{root}")
    assert labels(test.query) == [("00001_c1_00.jpg", 1, 1), ("00001_c2_00.jpg", 1, 2)]


def test_a_pairs_file_is_read_relative_to_itself(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_bytes(
        '\ufeffa,b,same\r\n\r\n# ours\r\nx/1.jpg, "2,2.jpg",1\r\n/3.jpg,4.jpg,0'.encode()
    )
    assert datasets.pairs(path) == [
        datasets.LabelledPair(tmp_path / "x/1.jpg", tmp_path / "2,2.jpg", True),
        datasets.LabelledPair(Path("/3.jpg"), tmp_path / "4.jpg", False),
    ]


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"", "holds no pair"),
        (b"# nothing\n", "holds no pair"),
        (b"a.jpg,b.jpg\n", "expected lines A,B,1 or A,B,0; found 'a.jpg,b.jpg'"),
        (b"a.jpg,b.jpg,yes\n", "found 'a.jpg,b.jpg,yes'"),
        (b",b.jpg,1\n", "found ',b.jpg,1'"),
        (b"a.jpg,b.jpg,1,0\n", "found"),
        (b'"a.jpg,b.jpg,1\n', "expected lines"),
        (b"a.jpg,b.jpg,1\n" + b"x" * 200_000 + b",b,1", "expected lines"),
        (b"\xff\xfe,b,1\n", "is no UTF-8 text"),
    ],
)
def test_a_file_that_holds_no_pairs_is_refused(tmp_path, content, advice):
    (tmp_path / "pairs.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=advice):
        datasets.pairs(tmp_path / "pairs.csv")


def test_a_pairs_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        datasets.pairs(tmp_path)
