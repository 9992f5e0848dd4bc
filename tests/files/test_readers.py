"""Every reader takes whatever files hold: as documents, as counted rows, or as one message.

benchmarks/hostile.py runs thousands of the same cases, in processes that may crash or hang.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from judged import judge
from readers import READERS, Case, cases, whole

EXAMPLES = 25
SHARED = [*HealthCheck]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("reader", READERS)
def test_files_as_they_should_be_are_read_whole(reader: str, tmp_path: Path) -> None:
    for number, case in enumerate(whole(reader)):
        (tmp_path / str(number)).mkdir()
        found = judge(case, tmp_path / str(number))
        assert (found.refused, found.skipped) == ("", 0), case.settings
        assert found.documents > 3


@pytest.mark.parametrize("reader", READERS)
def test_whatever_files_hold_is_read_counted_or_refused(
    reader: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    noticed = read = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=SHARED,
    )
    @given(cases(reader))
    def check(case: Case) -> None:
        nonlocal noticed, read
        found = judge(case, tmp_path_factory.mktemp("case"))
        noticed += bool(found.refused or found.skipped)
        read += bool(found.documents)

    check()
    assert read > 3
    assert noticed > 3
