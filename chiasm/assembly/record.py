"""What a run folder says of its run: recipe, data, versions, what was read; written or compared."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Container, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chiasm.assembly.objects import Run
from chiasm.data.source import SourceFacts
from chiasm.errors import UserError
from chiasm.evaluation.material import Material
from chiasm.recipe import Recipe, differences, parse_recipe, resolved, write_recipe
from chiasm.toml import load_toml
from chiasm.training.versions import versions
from chiasm.whole import write_json


def refuse_foreign_folder(folder: Path) -> None:
    """Refuses a folder that is neither new, nor empty, nor a run's.

    Raises:
        UserError: the folder holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; give another folder as out (--out)")
    half = folder / "recipe.toml.partial"  # of a run that was killed at once
    if any(path != half for path in folder.glob("*")) and not (folder / "recipe.toml").exists():
        raise UserError(f"{folder} exists and holds no run; give another folder as out (--out)")


def recipe_on_disk(recipe: Recipe, folder: Path, *, fresh: bool) -> None:
    """Makes the run folder and writes the recipe, or checks that the folder holds this very recipe.

    A recipe that nothing was trained from, because its data could not be read, is replaced. So are
    the paths of data that were moved: their content is compared once they are open.

    Raises:
        UserError: the folder holds something else, or a run with other settings.
    """
    refuse_foreign_folder(folder)
    path = folder / "recipe.toml"
    if fresh and path.exists():
        shutil.rmtree(folder)
    if path.exists():
        changed = differences(read_today(path), resolved(recipe))
        changed = [line for line in changed if not line.startswith(_FREE)]
        if not changed:
            return
        compared = (folder / "data.json").exists()
        if all(compared and _MOVED.match(line) for line in changed):
            return
        if _has_trained(folder):
            raise UserError(
                f"{folder} holds a run with other settings:\n  "
                + "\n  ".join(changed)
                + "\nGo on with its own settings, give another folder as out (--out), with "
                "initialize.branch if it is to go on from this run's checkpoints, or begin again "
                "with fresh (--fresh), which deletes it"
            )
        shutil.rmtree(folder / "inputs", ignore_errors=True)
        (folder / "versions.json").unlink(missing_ok=True)
    write_recipe(recipe, path)


_FREE = ("training.parallel.", "training.tracker.")
"""Of how ranks share the work and where metrics go, which another start may choose anew."""

_MOVED = re.compile(r"stream\.sources\.[^.]+\.((held_out_)?path|license) = ")
"""A difference between recipes that does not matter if the data are the same."""


def data_on_disk(
    facts: Mapping[str, SourceFacts], folder: Path, tell: Callable[[str], None] = print
) -> None:
    """Writes hashes of the sources' files beside the run, or checks that the files are unchanged.

    Raises:
        UserError: the folder holds a run that was trained on other data.
    """
    path = folder / "data.json"
    now = {name: found.summary() for name, found in facts.items()}
    changed = changed_data(facts, folder)
    if changed and _has_trained(folder):
        raise UserError(
            f"{folder} holds a run on other data:\n  "
            + "\n  ".join(changed.values())
            + "\nPut the data back as they were, give another folder as out (--out), or "
            "begin again with fresh (--fresh), which deletes it"
        )
    for line in changed.values():
        tell(line)
    if changed:  # tokenizers were made of what the sources held then
        shutil.rmtree(folder / "inputs", ignore_errors=True)
    write_json(path, now)  # half a record would say that nothing has changed


def changed_data(
    facts: Mapping[str, SourceFacts], folder: Path, *, held_out_elsewhere: Container[str] = ()
) -> dict[str, str]:
    """Returns the sources whose files have changed since the run began, each with a message.

    ``held_out_elsewhere``: sources whose held-out files are others on purpose.

    Raises:
        UserError: the run's record of its data is damaged.
    """
    path = folder / "data.json"
    try:
        then = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); delete it to go on without knowing whether the data "
            "are those that the run began with"
        ) from error
    return {
        name: f"stream.sources.{name}: its data have changed since the run began: "
        f"{then[name]['rows']:,} rows then, {found.rows:,} now"
        for name, found in facts.items()
        if name in then and _differs(then[name], found, held_out=name not in held_out_elsewhere)
    }


def _differs(then: Mapping[str, Any], now: SourceFacts, *, held_out: bool) -> bool:
    held_out_then = then.get("held_out_fingerprint", "")
    return then["fingerprint"] != now.fingerprint or (
        held_out and held_out_then != now.held_out_fingerprint
    )


def read_today(path: Path) -> dict[str, Any]:
    """Returns a kept recipe as this version resolves it: missing settings are defaults."""
    content = load_toml(path)
    try:
        return resolved(parse_recipe(content))
    except UserError:  # it knew settings that are gone: they are told as differences
        return content


def _has_trained(folder: Path) -> bool:
    """Returns whether the folder holds anything that a training step left."""
    return any((folder / name).exists() for name in ("metrics.jsonl", "checkpoints", "model"))


def record_versions(folder: Path, command: str, tell: Callable[[str], None]) -> None:
    path, now = folder / "versions.json", versions(command)
    try:
        then = json.loads(path.read_text())
    except (OSError, ValueError):
        write_json(path, now)
        return
    for name in ("torch", "machine"):
        if then.get(name) != now[name]:
            tell(
                f"the run began with {name} {then.get(name)}, here it is {now[name]}: "
                "it goes on, but its last digits may differ from an uninterrupted run's"
            )


def record_stream(run: Run, material: Material, path: Path, tell: Callable[[str], None]) -> None:
    ranks, stream = run.trainer.ranks, run.stream
    report = stream.report(stream.merged(ranks.gather(stream.get_state())))
    if not ranks.is_first:
        return
    sources = {name: facts.summary() for name, facts in material.facts.items()}
    write_json(path, asdict(report) | {"sources": sources})
    for alarm in report.alarms:
        tell(alarm)
    for what, count in (("skipped", report.skipped), ("longer than a row, split", report.split)):
        for source, documents in count.items():
            if documents:
                noted = (note for note in report.notes if note.startswith(f"{source}["))
                first = next((f"; the first: {note}" for note in noted if f" {what}" in note), "")
                total = f"{documents} of {report.documents[source]} documents"
                tell(f"{source}: {total} {what}, counted as often as they were read{first}")
