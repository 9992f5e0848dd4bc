from pathlib import Path

import numpy as np
import pytest

from chiasm.worlds.engine import Engine
from chiasm.worlds.maps import generate_map


@pytest.mark.slow
def test_an_engine_leaves_nothing_where_it_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Nor do two engines that start there at once meet: each has a folder of its own."""
    monkeypatch.chdir(tmp_path)
    with Engine([generate_map(0, 1)]) as first, Engine([generate_map(0, 1)]) as second:
        for engine in (first, second):
            engine.open_map(0)
        assert Path.cwd() == tmp_path
        np.testing.assert_array_equal(
            first.shoot(64, 64, 30).square, second.shoot(64, 64, 30).square
        )
    assert not list(tmp_path.iterdir())
