"""A trained model as a folder for others: weights, tokenizers, recipe, card, checksums.

    README.md            the model card
    SHA256SUMS           of all other files
    recipe.toml          every setting; of paths the last part
    evaluation.json      the table of the run's report
    streams/NAME/        the tokenizer of a stream, with published weights in their library's layout
    ...                  and what every saved model holds

Nothing in it names a path or a user of this machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from chiasm.batch.streams import IMAGE
from chiasm.data.asking import Asking, imagining
from chiasm.errors import UserError
from chiasm.inference.pretrained import CONFIG, STREAMS, Pretrained, find_model
from chiasm.public import public
from chiasm.recipe import Recipe, differences, load_recipe, resolved
from chiasm.report.card import CardContent, card
from chiasm.report.files import writing
from chiasm.report.record import json_text
from chiasm.tokenizers.storage import DESCRIPTION
from chiasm.toml import as_toml
from chiasm.whole import sha256_of, whole

CARD, SUMS, RECIPE, EVALUATION = "README.md", "SHA256SUMS", "recipe.toml", "evaluation.json"

_LICENSES = re.compile(r"stream\.sources\.[^.]+\.license = ")
"""The settings of a run that an export may still be told."""

_SHOWN = 4
"""Names that a message about a folder shows."""

_TOLD = ("chiasm", "torch", "python", "git_commit", "started", "command")
"""Of versions.json."""


def export_run(
    run: Path | str,
    out: Path,
    overrides: Sequence[str] = (),
    *,
    license: str = "",
    name: str = "",
    tell: Callable[[str], None] = print,
) -> None:
    """Writes a run's model into a folder that needs nothing else.

    An earlier export of that name is replaced if it is as it was written.

    Args:
        run: a run, or a saved model, whose card then tells less.
        out: the folder.
        overrides: licenses of the data, as ``stream.sources.NAME.license=cc-by-4.0``.
        license: of the model.
        name: the model's id on the hub, for the card.
        tell: receives one line about each tokenizer.

    Raises:
        UserError: there is no such model, it is an export itself, an override is of something
            else, or the folder holds anything else or cannot be written.
    """
    _refuse_other(out, Path(run))
    if (find_model(run) / SUMS).is_file():
        raise UserError(f"{run} is an export itself, with its card and numbers; copy the folder")
    model = Pretrained.load(run)
    recipe = _recipe(Path(run), overrides)
    with writing("the export", out), whole(out) as aside:
        model.save(aside, portable=True)
        opened = {stream: _opened_by(aside / STREAMS / stream) for stream in model.tokenizers}
        for stream, told in opened.items():
            tell(f"stream {stream}: {told}")
        content = _content(model, Path(run), recipe, opened, license, name or out.resolve().name)
        if recipe is not None:
            (aside / RECIPE).write_text(as_toml(public(resolved(recipe))))
        if content.report:
            (aside / EVALUATION).write_text(json_text(content.report, indent=1))
        (aside / CARD).write_text(_signed(card(content)))
        _write_sums(aside)


def _refuse_other(out: Path, run: Path) -> None:
    """Refuses a folder with anything that was not written by an export, or not so.

    Raises:
        UserError: as described, or it is the model that is to be exported.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if out.resolve() == run.resolve():
        raise UserError(f"{out} is itself what is to be exported; give another folder")
    if not out.is_dir():
        raise UserError(f"{out} is a file; give a folder")
    if not (out / SUMS).is_file():
        held = ", ".join(sorted(path.name for path in out.iterdir())[:_SHOWN])
        raise UserError(f"{out} exists and is no export: it holds {held}; give another folder")
    if others := list(_others(out)):
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        raise UserError(
            f"{out} has been changed since it was exported: {', '.join(others[:_SHOWN])}{more}",
            remedy="move away what is yours and delete the folder, or give another one",
        )
    if (out / CARD).is_file() and not _is_as_written((out / CARD).read_text(errors="replace")):
        raise UserError(
            f"{out / CARD} has been changed since it was exported, and would be replaced",
            remedy="move it away or give another folder; hf upload pushes the folder as it is",
        )


def _others(out: Path) -> Iterator[str]:
    """Yields what in an export's folder is not as it was written, but for the card."""
    lines = (out / SUMS).read_text(errors="replace").splitlines()
    written = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        linked = path.is_symlink()
        if name in (CARD, SUMS) or (path.is_dir() and not linked):
            continue
        if linked or not path.is_file() or name not in written:
            yield f"{name} is new"
        elif sha256_of(path) != written[name]:
            yield f"{name} is another"


def _recipe(run: Path, overrides: Sequence[str]) -> Recipe | None:
    """Returns the recipe of a run with licenses of its data; None for a saved model alone.

    Raises:
        UserError: an override changes anything else.
    """
    if not (run / RECIPE).is_file():
        if overrides:
            raise UserError(f"--set {overrides[0]}: {run} is no run, and has no recipe to change")
        return None
    trained, told = (load_recipe(run / RECIPE, own) for own in ((), overrides))
    for line in differences(resolved(trained), resolved(told)):
        if not _LICENSES.match(line):
            raise UserError(
                f"{line}: an export tells of the run as it was",
                remedy="set nothing but stream.sources.NAME.license",
            )
    return told


def _opened_by(folder: Path) -> str:
    """Returns which library opens the parts of a tokenizer's folder."""
    description = json.loads((folder / DESCRIPTION).read_text())
    roles = ("autoencoder", "encoder", "decoder")
    parts = [description[role] for role in roles if role in description]
    told = []
    for path in sorted({part["path"] for part in parts if "path" in part}):
        inside = folder / path
        content = json.loads((inside / CONFIG).read_text())
        library = "diffusers" if "_class_name" in content else "transformers"
        kind = content.get("_class_name", content.get("model_type"))
        told.append(f"{STREAMS}/{folder.name}/{inside.name} opens in {library} ({kind})")
    if own := [role for role in roles if role in description and "path" not in description[role]]:
        are, them = ("is", "it") if len(own) == 1 else ("are", "them")
        told.append(
            f"{' and '.join(own)} {are} chiasm's own ({description['name']}): chiasm.load "
            f"opens {them}, diffusers and transformers do not"
        )
    return "; ".join(told)


def _content(
    model: Pretrained,
    run: Path,
    recipe: Recipe | None,
    tokenizers: dict[str, str],
    license: str,
    name: str,
) -> CardContent:
    decoder, counted = model.decoder.settings, model.decoder.count_parameters()
    facts = {
        "parameters": f"{counted.total:,}, of which {counted.active:,} active",
        "shape": f"width {decoder.width}, depth {decoder.depth}, {decoder.experts} experts",
        "context": f"{model.context_positions} positions, the length of its training's rows",
        "vocabulary": f"{model.text_tokenizer.vocabulary_size} tokens",
    }
    report, versions = (public(_read(run / n)) for n in ("report.json", "versions.json"))
    told: dict[str, Any] = {
        "tokenizers": tokenizers,
        "report": {n: report[n] for n in ("rows", "skipped", "settings") if n in report},
        "versions": {n: versions[n] for n in _TOLD if n in versions},
    }
    if recipe is not None:
        facts["steps"] = f"{recipe.training.steps:,}"
        chosen = recipe.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        told |= {"recipe": as_toml(public(chosen)), "imports": public(recipe.imports)}
        told["sources"] = _sources(recipe, run)
        told["asked"] = [each for each in _asked(recipe) if _makes(model, each.makes)]
        told["begun_with"] = public(str(recipe.initialize.model or recipe.initialize.branch or ""))
    name_of_card = recipe.name if recipe is not None else name
    return CardContent(name_of_card, facts, _task(model), name, license=license, **told)


def _task(model: Pretrained) -> str:
    """Returns the hub's name of what a model does."""
    if not model.tokenizers:
        return "text-generation"
    sees = list(model.tokenizers) == [IMAGE] and not model.draws
    return "image-text-to-text" if sees else "any-to-any"


def _asked(recipe: Recipe) -> Iterator[Asking]:
    """Yields how a model of the recipe's sources is asked."""
    for source in recipe.stream.sources.values():
        yield from source.asked
        steps = source.steps(recipe.tables)
        if steps is not None and steps.posed:
            yield imagining(recipe.actions)


def _makes(model: Pretrained, stream: str) -> bool:
    """Returns whether a model makes text, or items of a stream."""
    return not stream or (stream in model.tokenizers and model.tokenizers[stream].decodes)


def _sources(recipe: Recipe, run: Path) -> dict[str, dict[str, Any]]:
    """Returns facts about the data of a run by source."""
    positions = _read(run / "stream.json").get("positions", {})
    found = {}
    for name, facts in public(_read(run / "data.json")).items():
        if own := recipe.stream.sources.get(name):
            license = own.license or own.usual_license
            found[name] = {**facts, "license": license, "positions": positions.get(name)}
    return found


def _read(path: Path) -> dict[str, Any]:
    """Returns the content of a JSON file; of one that is not there, nothing.

    Raises:
        UserError: it is damaged.
    """
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}; delete it to export without") from error
    return dict(found)


def _signed(text: str) -> str:
    """Returns a card with its hash in a comment at its end, which tells whether it was edited."""
    return f"{text}\n<!-- sha256 of this card: {sha256(text.encode()).hexdigest()} -->\n"


def _is_as_written(card: str) -> bool:
    text, _, _ = card.rpartition("\n<!-- sha256 of this card: ")
    return card == _signed(text)


def _write_sums(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / CARD)
    lines = [f"{sha256_of(path)}  {path.relative_to(folder)}\n" for path in files]
    (folder / SUMS).write_text("".join(lines))
