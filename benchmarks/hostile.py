"""What readers of users' files make of thousands of damaged ones: documents, counts, a message.

Each reader runs in processes of its own, with bounded memory, so that a library that crashes or
does not come back is seen and ends nothing else. Cases that failed are kept in the folder, as
pickles of what was written.

    python benchmarks/hostile.py [--examples 600] [--readers video,sound] [--seed 0]
                                 [--folder FOLDER] [--record REMARK]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import pickle
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from record import write_record

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "files"))

from judged import SECONDS, TooLongError, judge
from readers import READERS, Case, cases, whole

MEMORY_BYTES = 4 << 30
"""Of address space beyond what a process has when it begins."""
OUTCOMES = ("read", "read in part", "refused", "failed")


def outcome(case: Case, place: Path) -> tuple[str, str]:
    """What came of a case, and of one that failed where."""
    place.mkdir()
    try:
        found = judge(case, place)
    except (Exception, TooLongError) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "/chiasm/" in f.filename]
        at = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "the property"
        return "failed", f"{type(error).__name__} at {at}: {str(error)[:200]}"
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if found.refused:
        return "refused", ""
    return "read in part" if found.skipped else "read", ""


def work(reader: str, examples: int, first: int, folder: Path) -> None:
    """Runs the cases of a reader; the counts are written after each."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY_BYTES, resource.RLIM_INFINITY))
    warnings.simplefilter("error")
    current, counts = folder / f"{reader}.current", Counter[str]()
    failures: dict[str, int] = {}

    @seed(first)
    @settings(
        max_examples=examples,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=[*HealthCheck],
    )
    @given(cases(reader))
    def check(case: Case) -> None:
        if counts.total() >= examples:
            return
        current.write_bytes(pickle.dumps(case))
        kind, why = outcome(case, folder / f"{reader}-case")
        counts[kind] += 1
        if why and why not in failures:
            shutil.copy(current, folder / f"{reader}-{first}-{len(failures)}.pickle")
            print(f"{reader}: {why}", flush=True)
        if why:
            failures[why] = failures.get(why, 0) + 1
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        told = {**counts, "failures": failures, "peak_megabytes": peak // 1024}
        (folder / f"{reader}.json").write_text(json.dumps(told))

    check()


def run(reader: str, examples: int, first: int, folder: Path) -> dict[str, Any]:
    """Runs a reader's cases in processes, another one where one ends before its time."""
    total: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    peak = 0
    whole(reader)  # made before the fork, once
    while (left := examples - sum(total[each] for each in OUTCOMES)) > 0:
        told, current = folder / f"{reader}.json", folder / f"{reader}.current"
        told.unlink(missing_ok=True)
        fork = multiprocessing.get_context("fork")
        process = fork.Process(target=work, args=(reader, left, first, folder))
        process.start()
        began = time.time()
        while process.is_alive():
            process.join(1)
            last = current.stat().st_mtime if current.exists() else began
            if time.time() - max(last, began) > 2 * SECONDS:
                process.kill()
        own = json.loads(told.read_text()) if told.exists() else {}
        failures.update(own.pop("failures", {}))
        peak = max(peak, own.pop("peak_megabytes", 0))
        total.update(own)
        if process.exitcode:
            name = signal.Signals(-process.exitcode).name if process.exitcode < 0 else "error"
            failures[f"the process ended by {name}"] += 1
            total["failed"] += 1
            shutil.copy(current, folder / f"{reader}-{first}-{name}.pickle")
            print(f"{reader}: the process ended by {name}", flush=True)
        elif not own:
            break
        first += 1_000
    return {
        **{each: total[each] for each in OUTCOMES},
        "failures": dict(failures),
        "peak_megabytes": peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=600, help="of each reader")
    parser.add_argument("--readers", default=",".join(READERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--record", metavar="REMARK")
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {}
    for reader in asked.readers.split(","):
        began = time.perf_counter()
        figures[reader] = found = run(reader, asked.examples, asked.seed, folder)
        counts = ", ".join(f"{found[each]} {each}" for each in OUTCOMES)
        seconds = time.perf_counter() - began
        print(
            f"{reader}: {counts}; at most {found['peak_megabytes']} MB, {seconds:.0f} s", flush=True
        )
    total = {each: sum(found[each] for found in figures.values()) for each in OUTCOMES}
    print(f"all: {total}")
    if asked.record is not None:
        write_record("hostile", {"remark": asked.record, "total": total, "readers": figures})


if __name__ == "__main__":
    main()
