"""What the export is asked for, and which pictures calibrate and judge."""

from __future__ import annotations

import warnings

import crop_files
import pytest
from wishes import described, wish

from export import precisions
from export.convert import convert
from export.wish import Wish, plan_for
from reid_edge import bundle
from reid_edge.errors import DatasetError, OptionError


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"precisions": ("int8",)}, "int8 needs pictures"),
        ({"precisions": ("bf16",)}, "no precision 'bf16'"),
        ({"calibration": "x"}, "for --precision fp16 or int8"),
        ({"precisions": ("fp16",), "keep": ("x",)}, "--keep goes with --precision int8 only"),
        ({"precisions": ("int8",), "calibration": "x", "calibration_size": 0}, "at least 1"),
        ({"precisions": ("int8",), "calibration": "x", "method": "max"}, "no calibration method"),
    ],
)
def test_wishes_that_do_not_go_together_are_refused(asked, said):
    Wish(("fp16", "int8"), calibration="x", keep=("y",)).check()
    with pytest.raises(OptionError, match=said):
        Wish(**asked).check()


def test_unlabelled_pictures(weights, crops, tmp_path):
    convert(weights, tmp_path / "out", wish=wish(crops, calibration=str(crops)))
    gate = described(tmp_path / "out")["gates"]["int8"]
    # 48 pictures would be too few: those calibrated on help out, and it is said.
    assert gate["data"] == "crops (unlabelled, 16 of them calibrated on)"
    assert gate["pictures"] == 64
    assert "rank_correlation" in gate
    assert "map_ratio" not in gate


@pytest.mark.filterwarnings("ignore:int8")  # so few pictures are a hard gate
@pytest.mark.parametrize("few", ["one person", "few queries", "one camera"])
def test_labelled_pictures_that_are_too_few(weights, crops, tmp_path, monkeypatch, few):
    """Said before the calibration if they are --gate's; else they are judged on without labels."""
    some = tmp_path / "some"
    if few == "one person":
        crop_files.write(some, people=1, pictures=10)
    elif few == "few queries":
        crop_files.write(some, people=7, pictures=2)
    else:
        crop_files.write(some, people=10, pictures=2)
        for path in some.glob("*_c2s1_*"):
            path.unlink()
    convert(weights, tmp_path / "out", wish=wish(some, calibration_size=4))
    assert described(tmp_path / "out")["gates"]["int8"]["data"].startswith("folder:some (unlab")
    monkeypatch.setattr(precisions, "_reached", lambda *_: pytest.fail("should not get here"))
    with pytest.raises(DatasetError, match=r"^--gate folder:some: "):
        convert(weights, tmp_path / "2", wish=wish(crops, gate=f"folder:{some}"))


def test_overlap_is_seen_through_links(weights, crops, tmp_path):
    (tmp_path / "link").symlink_to(crops)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of so few pictures, a hair decides
        convert(weights, tmp_path / "out", wish=wish(crops, gate=f"folder:{tmp_path / 'link'}"))
    gate = described(tmp_path / "out")["gates"]["int8"]
    assert gate["data"] == "folder:crops (labelled, 16 of them calibrated on)"


def test_few_pictures_warn(weights, crops, tmp_path):
    with pytest.warns(RuntimeWarning, match="calibrating on 64 pictures, as folder:crops has no"):
        convert(weights, tmp_path / "out", wish=wish(crops, calibration_size=512))
    gate = described(tmp_path / "out")["gates"]["int8"]
    assert gate["data"] == "folder:crops (unlabelled, 64 of them calibrated on)"


def test_hardly_any_pictures_leave_it_unverified(weights, tmp_path):
    few = crop_files.write(tmp_path / "few", people=1, pictures=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        convert(weights, tmp_path / "out", wish=wish(few, calibration=str(few)))
    messages = " ".join(str(each.message) for each in caught)
    assert "calibrating on 4 pictures" in messages
    assert "not verified" in messages
    assert described(tmp_path / "out")["gates"] == {}
    assert bundle.load(tmp_path / "out").default_precision == "fp32"


def test_wrong_gate_data(weights, crops, tmp_path):
    one_camera = tmp_path / "one"
    one_camera.mkdir()
    for path in crops.glob("*_c1s1_*"):
        (one_camera / path.name).write_bytes(path.read_bytes())
    with pytest.raises(DatasetError, match="two cameras"):
        convert(weights, tmp_path / "out", wish=wish(crops, gate=f"folder:{one_camera}"))
    assert not (tmp_path / "out").exists()


def damaged(folder, *numbers):
    """A folder of crops, some of them no pictures."""
    crop_files.write(folder, people=8, pictures=4)
    for number in numbers:
        sorted(folder.iterdir())[number].write_bytes(b"no picture")
    return folder


@pytest.mark.filterwarnings("ignore:int8")  # so few pictures are a hard gate
def test_unreadable_pictures_are_left_out_counted_and_named(weights, crops, tmp_path):
    """The same for --calibration and --gate, and as `evaluate` does."""
    some = damaged(tmp_path / "some", 0, 8)  # each fourth of 64 calibrates
    with pytest.warns(RuntimeWarning, match="pictures left out: 2: .*0001_c1s1_000000_00") as told:
        convert(weights, tmp_path / "1", wish=wish(some))
    assert sum("left out" in str(one.message) for one in told) == 1
    gate = described(tmp_path / "1")["gates"]["int8"]
    # Two others calibrate in their place.
    assert (gate["data"], gate["pictures"]) == ("folder:some (labelled)", 46)
    some = damaged(tmp_path / "other", 1, 2, 5)
    with pytest.warns(RuntimeWarning, match="left out: 3: .*0001_c1s1_000001_00"):
        convert(weights, tmp_path / "2", wish=wish(crops, gate=f"folder:{some}"))
    gate = described(tmp_path / "2")["gates"]["int8"]
    assert gate["data"] == "folder:other (labelled, 3 unreadable left out)"
    assert gate["pictures"] == 61


def test_too_few_pictures_that_can_be_read_are_an_error(weights, crops, tmp_path):
    some = damaged(tmp_path / "some", *range(64))
    for asked in (wish(some), wish(crops, gate=f"folder:{some}")):
        with pytest.raises(DatasetError, match=r"folder:some: .*0001_c1s1_000000_00\.png"):
            convert(weights, tmp_path / "out", wish=asked)
    assert not (tmp_path / "out").exists()


def planned(asked):
    """The plan, and what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plan = plan_for(asked)
    return plan, " ".join(str(each.message) for each in caught)


def test_unreadable_pictures_to_calibrate_on_are_replaced(tmp_path):
    """Else a few of them could leave a single picture, though the folder has hundreds."""
    some = damaged(tmp_path / "some", 0, 8, 24, 25)  # each fourth of 64 would calibrate
    asked = wish(some)
    plan, told = planned(asked)
    assert "pictures left out: " in told
    assert "steadier" not in told
    files = {sample.path for sample in plan.calibration}
    assert len(files) == len(plan.calibration) == asked.calibration_size == 16
    assert not any(path.read_bytes() == b"no picture" for path in files)
    assert plan.labelled
    assert not files & {sample.path for sample in plan.judged}
    assert planned(asked)[0] == plan  # always the same


@pytest.mark.parametrize(("left", "named"), [(1, "1 picture"), (14, "14 pictures")])
def test_too_few_pictures_that_can_be_read_warn(tmp_path, left, named):
    some = damaged(tmp_path / "some", *range(left, 64))
    plan, told = planned(wish(some))
    assert len(plan.calibration) == left
    assert (
        f"calibrating on {named}, as folder:some has no more that can be read; 16 give steadier"
    ) in told
