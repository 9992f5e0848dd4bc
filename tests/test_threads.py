"""The number of threads on machines whose speed by threads is known: a clock stands for each."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from chiasm.errors import UserError
from chiasm.threads import REST, ROUNDS, TIE, WINDOW_STEPS, Threads, given_threads

FREE = {1: 2.0, 2: 1.0, 4: 0.5}
BUSY = {1: 3.0, 2: 9.0, 4: 40.0}
"""Seconds of a step by threads."""


class Machine:
    """Steps that take as long as ``seconds`` says for the threads that torch has."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self.seconds = seconds
        self.now = 0.0
        self.worked: list[int] = []
        """Threads of each piece of work."""
        self.told: list[str] = []

    def clock(self) -> float:
        return self.now

    def work(self) -> None:
        self.now += self.seconds[torch.get_num_threads()]
        self.worked.append(torch.get_num_threads())

    def threads(self, given: int | None = None, record: Path | None = None) -> Threads:
        limit = max(self.seconds)
        tell = self.told.append
        return Threads(record, self.work, given=given, limit=limit, tell=tell, clock=self.clock)

    def steps(self, threads: Threads, number: int, begin: int = 0) -> list[int]:
        """Train; returns the threads of each step."""
        used = []
        for step in range(begin + 1, begin + number + 1):
            used.append(torch.get_num_threads())
            before = self.now
            self.work()
            threads.after_step(step, self.now - before)
        return used


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@given(seconds=st.fixed_dictionaries({n: st.floats(0.1, 100) for n in (1, 2, 4, 8, 12)}))
def test_no_other_number_would_be_clearly_faster(seconds: dict[int, float]) -> None:
    machine = Machine(seconds)
    with machine.threads().in_use(0):
        chosen = torch.get_num_threads()
    assert seconds[chosen] <= TIE * min(seconds.values())
    assert seconds[chosen] <= TIE * seconds[1]  # never slower than one
    for fewer in (number for number in seconds if number < chosen):
        assert seconds[fewer] > TIE * min(seconds.values())
    assert len(machine.told) == (chosen != 12)


def test_what_is_hopeless_is_tried_once() -> None:
    machine = Machine(BUSY)
    with machine.threads().in_use(0):
        assert torch.get_num_threads() == 1
    assert machine.worked.count(4) == 1
    assert machine.worked.count(1) == 1 + ROUNDS


def test_torch_has_as_many_threads_afterwards_as_before() -> None:
    before = torch.get_num_threads()
    machine = Machine(FREE)

    class Ends(Exception):
        pass

    def ends() -> None:
        with machine.threads().in_use(0):
            assert torch.get_num_threads() == 4
            raise Ends

    with pytest.raises(Ends):
        ends()
    assert torch.get_num_threads() == before


def test_a_given_number_is_never_measured_nor_changed() -> None:
    machine = Machine(FREE)
    threads = machine.threads(given=2)
    with threads.in_use(0):
        assert machine.worked == []
        used = machine.steps(threads, 3 * WINDOW_STEPS)
        machine.seconds = BUSY
        used += machine.steps(threads, 9 * WINDOW_STEPS, begin=3 * WINDOW_STEPS)
    assert set(used) == {2}
    assert machine.told == []


def test_a_drop_of_the_speed_has_them_measured_again_once(tmp_path: Path) -> None:
    machine = Machine(FREE)
    record = tmp_path / "threads.json"
    threads = machine.threads(record=record)
    steps = 100 * WINDOW_STEPS  # longer than measuring has it rest
    with threads.in_use(0):
        assert set(machine.steps(threads, steps)) == {4}
        machine.seconds = {1: 5.0, 2: 4.6, 4: 4.5}
        rehearsed = len(machine.worked)
        assert set(machine.steps(threads, 4 * WINDOW_STEPS, begin=steps)) == {4}
        rehearsed = len(machine.worked) - rehearsed - 4 * WINDOW_STEPS
        assert rehearsed == 1 + 3 * ROUNDS  # once; nothing was gained, so nothing is told
        assert machine.told == []
        machine.seconds = {n: 10 * s for n, s in BUSY.items()}
        used = machine.steps(threads, steps, begin=steps + 4 * WINDOW_STEPS)
    change = used.index(1)
    assert set(used[:change]) == {4}
    assert set(used[change:]) == {1}
    assert len(machine.told) == 1
    begin = steps + 4 * WINDOW_STEPS + change
    assert f"1 instead of 4 from step {begin} on" in machine.told[0]
    recorded = json.loads(record.read_text())
    assert recorded == [{"step": 0, "threads": 4}, {"step": begin, "threads": 1}]


def test_fewer_threads_are_not_for_ever_and_measuring_takes_a_small_share() -> None:
    machine = Machine(BUSY)
    threads = machine.threads()
    with threads.in_use(0):
        measured = machine.now
        used = machine.steps(threads, 100)
        machine.seconds = FREE
        used += machine.steps(threads, 3000, begin=100)
    assert used[0] == 1
    assert used[-1] == 4
    first = used.index(4)
    assert 3.0 * 100 + 2.0 * (first - 100) >= REST * measured
    assert len(machine.told) == 2


def test_one_thread_leaves_nothing_to_measure() -> None:
    machine = Machine({1: 1.0})
    threads = machine.threads()
    with threads.in_use(0):
        assert set(machine.steps(threads, 5 * WINDOW_STEPS)) == {1}
    assert len(machine.worked) == 5 * WINDOW_STEPS


@example(first=1, changes={1: 1, 2: 1, 3: 1, 31: 2}, resumes=[0, 0])
@given(
    first=st.sampled_from([1, 2, 4]),
    changes=st.dictionaries(st.integers(1, 40), st.sampled_from([1, 2, 4]), max_size=5),
    resumes=st.lists(st.integers(0, 40), max_size=4),
)
def test_who_goes_on_has_the_recorded_numbers_at_the_recorded_steps(
    tmp_path_factory: pytest.TempPathFactory,
    first: int,
    changes: dict[int, int],
    resumes: list[int],
) -> None:
    """Whatever the speed is by then, and wherever, and how often, it goes on.

    What comes after the last of them is measured.
    """
    record = tmp_path_factory.mktemp("run") / "threads.json"
    lines = [{"step": step, "threads": n} for step, n in sorted({0: first, **changes}.items())]
    record.write_text(json.dumps(lines))
    for begin in resumes:
        lines = json.loads(record.read_text())
        machine = Machine(BUSY)
        threads = machine.threads(record=record)
        with threads.in_use(begin):
            used = machine.steps(threads, 41 - begin, begin=begin)
        # A change that was measured after the last step is of a step that is not taken here.
        for step in range(begin, min(40, max(begin, lines[-1]["step"])) + 1):
            recorded = [line["threads"] for line in lines if line["step"] <= step][-1]
            assert used[step - begin] == recorded


def test_a_number_that_is_given_later_wins_and_is_told(tmp_path: Path) -> None:
    record = tmp_path / "threads.json"
    record.write_text('[{"step": 0, "threads": 2}, {"step": 8, "threads": 1}]')
    machine = Machine(FREE)
    threads = machine.threads(given=4, record=record)
    with threads.in_use(5):
        assert set(machine.steps(threads, 10, begin=5)) == {4}
    assert "2 threads up to step 5, from here on 4" in machine.told[0]
    assert json.loads(record.read_text()) == [
        {"step": 0, "threads": 2},
        {"step": 5, "threads": 4},
    ]


def test_another_machine_with_fewer_cores_measures_anew(tmp_path: Path) -> None:
    record = tmp_path / "threads.json"
    record.write_text('[{"step": 0, "threads": 16}]')
    machine = Machine(FREE)
    threads = machine.threads(record=record)
    with threads.in_use(7):
        assert set(machine.steps(threads, 5, begin=7)) == {4}
    assert "4 instead of 16 from step 7 on" in machine.told[0]


def test_a_number_that_only_the_past_had_is_no_reason_to_measure(tmp_path: Path) -> None:
    record = tmp_path / "threads.json"
    record.write_text('[{"step": 0, "threads": 16}, {"step": 4, "threads": 2}]')
    machine = Machine(FREE)
    threads = machine.threads(record=record)
    with threads.in_use(7):
        assert set(machine.steps(threads, 5, begin=7)) == {2}


@pytest.mark.parametrize("given", [None, 4])
def test_changes_that_were_not_made_again_are_no_part_of_the_record(
    given: int | None, tmp_path: Path
) -> None:
    record = tmp_path / "threads.json"
    record.write_text('[{"step": 0, "threads": 4}, {"step": 8, "threads": 16}]')
    machine = Machine(FREE)
    threads = machine.threads(given=given, record=record)
    with threads.in_use(5):
        assert set(machine.steps(threads, 10, begin=5)) == {4}
    assert json.loads(record.read_text()) == [{"step": 0, "threads": 4}]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "threads.json").write_text("[{")
    machine = Machine(FREE)
    threads = machine.threads(record=tmp_path / "threads.json")
    with pytest.raises(UserError, match=r"threads\.json is damaged"), threads.in_use(0):
        pass


ASK = """
import sys, torch
import chiasm.threads
if sys.argv[1:]:
    torch.set_num_threads(int(sys.argv[1]))
print(chiasm.threads.given_threads())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "arguments", "expected"),
    [
        ({}, [], "None"),
        ({"OMP_NUM_THREADS": "1"}, [], "1"),
        ({"MKL_NUM_THREADS": "1"}, [], "1"),
        ({}, ["5"], "5"),
    ],
)
def test_what_the_user_decided_is_seen(
    environment: dict[str, str], arguments: list[str], expected: str
) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    printed = subprocess.run(
        [sys.executable, "-c", ASK, *arguments],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.strip() == expected


def test_the_tests_themselves_are_given_a_number() -> None:
    if torch.get_num_threads() == 1 and os.cpu_count() != 1:
        assert given_threads() == 1


Waits = Callable[[dict[str, str]], str]


@pytest.fixture(scope="module")
def waits() -> Waits:
    """What OpenMP says of its settings when the command line has loaded it."""

    def waits(environment: dict[str, str]) -> str:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("OMP", "GOMP", "KMP"))}
        told = subprocess.run(
            [sys.executable, "-m", "chiasm", "train", "--help"],
            env=clean | environment | {"OMP_DISPLAY_ENV": "VERBOSE"},
            capture_output=True,
            text=True,
            check=True,
        )
        if "OMP_WAIT_POLICY" not in told.stderr:
            pytest.skip("this torch's OpenMP does not tell its settings")
        return told.stderr

    return waits


@pytest.mark.slow
def test_threads_wait_shortly_under_the_command_line(waits: Waits) -> None:
    told = waits({})
    policy = "ACTIVE" if sys.platform == "linux" else "PASSIVE"
    assert f"OMP_WAIT_POLICY = '{policy}'" in told
    if "GOMP_SPINCOUNT" in told:
        assert "GOMP_SPINCOUNT = '1000'" in told


@pytest.mark.slow
def test_how_the_user_has_them_wait_is_left_alone(waits: Waits) -> None:
    told = waits({"OMP_WAIT_POLICY": "passive"})
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in told
    assert "GOMP_SPINCOUNT = '1000'" not in told
