import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chiasm.data.pickles import read_pickle
from chiasm.errors import UserError


def written(folder: Path, content: Any, protocol: int = 4) -> Path:
    path = folder / "traj_data.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("number_type", ["f8", "f4", ">f8", "i4"])
def test_arrays_of_numbers_come_back(tmp_path: Path, protocol: int, number_type: str):
    grid = np.arange(6).reshape(3, 2).astype(number_type)
    content = {
        "position": grid,
        "columns first": np.asfortranarray(grid),
        "part": grid[::2, 1],
        "number": grid[1, 1],
        "list": [1.5, (2, "three"), None],
    }
    back = read_pickle(written(tmp_path, content, protocol))
    assert back.keys() == content.keys()
    for name in ("position", "columns first", "part", "number"):
        assert np.array_equal(np.asarray(back[name], np.float64), content[name]), name
    assert back["list"] == content["list"]


def test_whole_numbers_stay_whole(tmp_path: Path):
    """Times in nanoseconds, of which float64 holds every 256th."""
    stamp = 1_403_636_579_763_555_585
    content = {"one": np.int64(stamp), "many": np.array([stamp, stamp + 1]), "plain": stamp}
    back = read_pickle(written(tmp_path, content))
    assert back["one"] == back["plain"] == stamp
    assert np.asarray(back["many"]).tolist() == [stamp, stamp + 1]


def test_a_pickle_of_an_older_numpy_is_read(tmp_path: Path):
    path = written(tmp_path, {"yaw": np.arange(3.0)}, 2)
    path.write_bytes(path.read_bytes().replace(b"numpy._core.", b"numpy.core."))
    assert np.asarray(read_pickle(path)["yaw"]).tolist() == [0, 1, 2]


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("function", [os.system, eval, exec, os.mkdir])
def test_no_code_of_a_pickle_runs(tmp_path: Path, function: Any, protocol: int):
    mark = tmp_path / "mark"
    argument = {
        os.system: f"touch {mark}",
        os.mkdir: str(mark),
    }.get(function, f"__import__('os').mkdir({str(mark)!r})")
    path = written(tmp_path, {"position": Calls(function, argument)}, protocol)
    with pytest.raises(UserError, match=r"traj_data\.pkl is refused: it asks for .*do not trust"):
        read_pickle(path)
    assert not mark.exists()
    pickle.loads(path.read_bytes())  # the attack is a real one
    assert mark.exists()


def test_every_name_that_is_let_through_is_a_stand_in(tmp_path: Path):
    """So that nothing of numpy itself is called with what the file says."""
    for name in ("numpy ndarray", "numpy dtype", "numpy.core.multiarray scalar"):
        module, attribute = name.split()
        path = tmp_path / "name.pkl"
        path.write_bytes(f"c{module}\n{attribute}\n.".encode())
        assert read_pickle(path).__module__ == "chiasm.data.pickles"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.array([{"a": 1}], dtype=object), "array of type 'O8'"),
        (np.array(["a"]), "array of type 'U1'"),
        (np.zeros(1, [("a", "f8")]), "array of type 'V8'"),
        (Path("there"), r"asks for pathlib"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, content: Any, message: str):
    with pytest.raises(UserError, match=message):
        read_pickle(written(tmp_path, content))


def test_memory_for_more_objects_than_bytes_is_not_set_aside(tmp_path: Path):
    path = tmp_path / "traj_data.pkl"
    for program in (b"}p123456789\n.", b"}r\x15\xcd\x5b\x07."):
        path.write_bytes(program)
        with pytest.raises(UserError, match=r"refused: it has more objects than bytes"):
            read_pickle(path)


@pytest.mark.parametrize("damage", [b"", b"no pickle", b"\x80\x04\x95"])
def test_broken_bytes_are_named(tmp_path: Path, damage: bytes):
    path = tmp_path / "traj_data.pkl"
    path.write_bytes(damage)
    with pytest.raises(UserError, match=r"traj_data\.pkl cannot be read as a pickle"):
        read_pickle(path)
    whole = pickle.dumps({"yaw": np.arange(9.0)})
    for length in range(1, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError):
            read_pickle(path)
