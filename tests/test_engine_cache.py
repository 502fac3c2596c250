"""Engines on disk: found only where nothing differs, in a folder that nobody else can write to."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
import types

import pytest

from reid_edge import engine_cache, errors
from reid_edge.engine_cache import Found, Wanted

WANTED = Wanted(
    engine="tensorrt",
    version="10.3.0",
    model="edge",
    graph="fp16",
    graph_sha256="ab" * 32,
    gpu={"name": "Orin", "compute_capability": [8, 7], "multiprocessors": 16, "memory_gib": 15},
    profiles=[[1, 2, 8]],
    options={"workspace": 1 << 30, "level": 3},
)
OTHERS = {
    "engine": dataclasses.replace(WANTED, engine="tensorrt_rtx"),
    "version": dataclasses.replace(WANTED, version="10.13.0"),
    "graph_sha256": dataclasses.replace(WANTED, graph_sha256="cd" * 32),
    "gpu": dataclasses.replace(WANTED, gpu={**WANTED.gpu, "memory_gib": 7}),
    "profiles": dataclasses.replace(WANTED, profiles=[[1, 2, 4]]),
    "options": dataclasses.replace(WANTED, options={"workspace": 1, "level": 3}),
}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "engines"
    made.mkdir(mode=0o700)
    return made


def store(folder, wanted=WANTED, plan=b"plan", cache=b"timings"):
    known = {"build_seconds": 2.5, "strongly_typed": True}
    return engine_cache.store(folder, wanted, plan, cache, known)


def test_a_stored_plan_is_found_again(folder):
    store(folder)
    assert engine_cache.find(folder, WANTED) == Found(b"plan", strongly_typed=True)
    assert engine_cache.timing_cache(folder, WANTED) == b"timings"
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_the_sidecar_records_all_that_the_plan_depends_on(folder):
    sidecar = json.loads(store(folder).with_suffix(".json").read_text())
    for name, value in dataclasses.asdict(WANTED).items():
        assert sidecar[name] == value
    assert len(sidecar["plan_sha256"]) == 64
    assert sidecar["build_seconds"] == 2.5


@pytest.mark.parametrize("field", OTHERS)
def test_whatever_differs_the_plan_is_not_taken_and_the_reason_names_it(folder, field):
    store(folder)
    found = engine_cache.find(folder, OTHERS[field])
    assert found.plan is None
    assert f"differs: {field} " in found.reason


def test_engines_for_different_gpus_live_side_by_side(folder):
    store(folder, WANTED, b"one")
    store(folder, OTHERS["gpu"], b"two")
    assert engine_cache.find(folder, WANTED).plan == b"one"
    assert engine_cache.find(folder, OTHERS["gpu"]).plan == b"two"


def test_an_empty_or_missing_folder_is_a_first_use(folder):
    assert engine_cache.find(folder, WANTED) == Found(None, "first use")
    assert engine_cache.find(folder / "none", WANTED) == Found(None, "first use")


@pytest.mark.parametrize("damage", [b"", b"plaN", b"plan and more"])
def test_a_damaged_plan_is_not_taken(folder, damage):
    store(folder).write_bytes(damage)
    found = engine_cache.find(folder, WANTED)
    assert found == Found(None, "the plan differs from its recorded SHA-256")


@pytest.mark.parametrize("sidecar", [b"", b"{", b"[]", b"[" * 100_000, b'{"sidecar": 2}', b"\xff"])
def test_a_plan_without_a_good_sidecar_is_not_taken(folder, sidecar):
    store(folder).with_suffix(".json").write_bytes(sidecar)
    assert engine_cache.find(folder, WANTED) == Found(None, "its sidecar is missing")


def test_a_sidecar_moved_under_another_name_is_not_believed(folder):
    """The file name holds a hash of the key; the content must say the same."""
    path = store(folder, OTHERS["gpu"])
    for ending in (".plan", ".json"):
        path.with_suffix(ending).rename(folder / f"{WANTED.stem}{ending}")
    found = engine_cache.find(folder, WANTED)
    assert found.plan is None
    assert "records gpu" in found.reason


def test_a_plan_that_is_a_pipe_does_not_block(folder):
    path = store(folder)
    path.unlink()
    os.mkfifo(path, 0o600)
    found = engine_cache.find(folder, WANTED)
    assert found.plan is None
    assert "not a regular file" in found.reason


def test_a_plan_that_is_a_link_is_not_followed(folder, tmp_path):
    path = store(folder)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert "is a link" in engine_cache.find(folder, WANTED).reason


@pytest.mark.parametrize("cut", [0, 10, 36])
def test_a_timing_cache_that_is_not_whole_is_not_used(folder, cut):
    store(folder)
    path = folder / f"{WANTED.timing_stem}.cache"
    path.write_bytes(path.read_bytes()[:cut])
    assert engine_cache.timing_cache(folder, WANTED) == b""


def test_the_timing_cache_is_shared_by_the_graphs_of_one_gpu_only(folder):
    store(folder)
    assert engine_cache.timing_cache(folder, OTHERS["profiles"]) == b"timings"
    assert engine_cache.timing_cache(folder, OTHERS["gpu"]) == b""
    assert engine_cache.timing_cache(folder, OTHERS["version"]) == b""


# --- who else can write there --------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o777, 0o702, 0o1777])
def test_a_folder_that_others_can_write_to_is_refused(folder, mode):
    store(folder)
    folder.chmod(mode)
    with pytest.raises(errors.EngineCacheError, match=r"written to by other users; chmod go-w"):
        engine_cache.find(folder, WANTED)


def test_so_is_one_whose_parent_others_can_write_to(folder):
    store(folder)
    folder.parent.chmod(0o777)
    with pytest.raises(errors.EngineCacheError, match="native code"):
        engine_cache.find(folder, WANTED)
    folder.parent.chmod(0o1777)  # as /tmp: others cannot rename what is not theirs
    assert engine_cache.find(folder, WANTED).plan == b"plan"


def test_only_the_folder_that_was_judged_is_read(folder, tmp_path, monkeypatch):
    """Another user may turn a link of his to another folder after it was looked at."""
    store(folder)
    link, evil = tmp_path / "link", tmp_path / "evil"
    link.symlink_to(folder)
    evil.mkdir()
    store(evil, plan=b"evil")
    private = engine_cache.private

    def turned(place):
        real = private(place)
        link.unlink()
        link.symlink_to(evil)
        return real

    monkeypatch.setattr(engine_cache, "private", turned)
    assert engine_cache.find(link, WANTED).plan == b"plan"


def test_a_link_is_followed_before_it_is_judged(folder, tmp_path):
    store(folder)
    folder.chmod(0o777)
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(errors.EngineCacheError):
        engine_cache.find(link, WANTED)


@pytest.mark.parametrize("ending", [".plan", ".json"])
def test_a_file_that_others_can_write_to_is_not_taken(folder, ending):
    path = store(folder).with_suffix(ending)
    path.chmod(0o666)
    with pytest.raises(errors.EngineCacheError, match="other users"):
        engine_cache.find(folder, WANTED)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_folder_of_another_user_is_refused_and_one_of_root_is_not(folder, monkeypatch):
    store(folder)
    os.chown(folder, 12345, 12345)
    with pytest.raises(errors.EngineCacheError, match="belongs to user 12345"):
        engine_cache.find(folder, WANTED)
    os.chown(folder, 0, 0)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)  # an image's engines, a user's process
    assert engine_cache.find(folder, WANTED).plan == b"plan"


@pytest.mark.parametrize(
    ("group", "members", "gid", "allowed"),
    [
        ("ann", [], 12345, True),
        ("ann", ["ann"], 12345, True),
        ("ann", ["ben"], 12345, False),
        ("users", [], 12345, False),
        ("ann", [], 0, False),
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_group_of_ones_own_may_write_and_another_may_not(
    folder, monkeypatch, group, members, gid, allowed
):
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: types.SimpleNamespace(pw_name="ann"))
    monkeypatch.setattr(
        "grp.getgrgid", lambda gid: types.SimpleNamespace(gr_name=group, gr_mem=members)
    )
    os.chown(folder, 12345, gid)
    folder.chmod(0o770)
    if allowed:
        assert engine_cache.find(folder, WANTED).reason == "first use"
    else:
        with pytest.raises(errors.EngineCacheError):
            engine_cache.find(folder, WANTED)


def test_a_folder_that_cannot_be_looked_at_says_what_to_do(folder, monkeypatch):
    def closed(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(engine_cache, "private", closed)
    with pytest.raises(errors.EngineCacheError, match=r"Permission denied.*REID_EDGE_CACHE"):
        engine_cache.find(folder, WANTED)


def test_files_can_be_read_by_the_user_who_will_run_them(folder):
    path = store(folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


# --- where ---------------------------------------------------------------------------------------


def test_the_folder_is_the_one_given_else_the_variables_else_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("REID_EDGE_CACHE", raising=False)
    assert engine_cache.folder_for() == tmp_path / "xdg" / "reid_edge" / "engines"
    monkeypatch.setenv("REID_EDGE_CACHE", str(tmp_path / "variable"))
    assert engine_cache.folder_for() == tmp_path / "variable"
    assert engine_cache.folder_for(tmp_path / "given") == tmp_path / "given"


# --- building ------------------------------------------------------------------------------------


def nothing():
    raise AssertionError("nobody else builds")


def test_what_a_killed_build_left_is_cleared_away(folder):
    left = folder / f".{WANTED.stem}.abc.partial"
    left.write_bytes(b"half")
    with engine_cache.building(folder, WANTED, nothing):
        assert not left.exists()


def test_new_folders_are_private_enough_whatever_the_umask(tmp_path):
    new = tmp_path / "one" / "two" / "three"
    old = os.umask(0)
    try:
        with engine_cache.building(new, WANTED, nothing) as folder:
            assert folder == new
    finally:
        os.umask(old)
    for place in (new, new.parent, new.parent.parent):
        assert stat.S_IMODE(place.stat().st_mode) == 0o755
    store(new)
    assert engine_cache.find(new, WANTED).plan == b"plan"


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(errors.EngineCacheError, match="REID_EDGE_CACHE, or build them beforehand"),
        engine_cache.building(tmp_path / "file" / "engines", WANTED, nothing),
    ):
        pass


def full_disk(*_):
    raise OSError(28, "No space left on device")


BUILT = types.SimpleNamespace(plan=b"p", timing_cache=b"", seconds=1.0, strongly_typed=True)


def test_a_full_disk_costs_the_cache_but_not_the_engine(folder, monkeypatch):
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.warns(RuntimeWarning, match="No space left on device.*built again"):
        assert engine_cache.keep(folder, WANTED, BUILT, must=False) is None
    assert list(folder.iterdir()) == []


def test_a_full_disk_fails_where_keeping_was_the_task(folder, monkeypatch):
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(errors.EngineCacheError, match="make room"):
        engine_cache.keep(folder, WANTED, BUILT, must=True)
