"""What several verbs read of the command line, checked before anything is computed.

A verb whose parameters are settings has an option for each of their fields (:func:`with_settings`).
"""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer

from chiasm.errors import UserError
from chiasm.fields import bounds, meaning
from chiasm.settings import Settings
from chiasm.toml import parse_settings

Trained = Annotated[
    str,
    typer.Argument(
        help="A run, a saved model, a hub id owner/name, or embedded-world: the package's own."
    ),
]
EndedRun = Annotated[Path, typer.Argument(help="A run folder whose training has ended.")]
RecipeFile = Annotated[Path, typer.Argument(help="A TOML file.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, or auto.")]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Delete the run in the folder and begin again.")
]
Cache = Annotated[
    Path | None, typer.Option(help="Where rendered worlds are kept.", envvar="CHIASM_CACHE")
]
Partition = Annotated[
    str | None, typer.Option(help="Slurm's partition; without it the cluster's default.")
]
Time = Annotated[
    str | None,
    typer.Option(
        help="Limit of a Slurm job's time, such as 04:00:00; without it the partition's. A job "
        "that reaches it saves and queues again."
    ),
]
Sbatch = Annotated[
    list[str] | None,
    typer.Option(help='A further option of sbatch, as "--constraint=h200"; repeatable.'),
]


def overrides(example: str) -> Any:
    """Returns the option that changes settings of a recipe, with one that its verb reads."""
    return typer.Option("--set", help=f"Override a setting, as in --set {example}; repeatable.")


Names = Callable[[type[Settings]], dict[str, str]]
"""Says which fields of settings a verb has options for, and the parameter of each."""


def only(*fields: str, **named: str) -> Names:
    """Options for these fields; those that are given a name are called by it."""
    return lambda settings: {name: name for name in fields} | named


def but(*fields: str, **named: str) -> Names:
    """Options for all fields except these; those that are given a name are called by it."""
    return lambda settings: {n: named.get(n, n) for n in settings.model_fields if n not in fields}


def with_settings(verb: Callable[..., None]) -> Callable[..., None]:
    """Gives a verb options for the fields of its settings.

    A parameter whose default are settings stands for an option of each field, or of those that
    :func:`only` or :func:`but` in its annotation say. Type, bounds and help are the field's, its
    default is as the parameter's has it. A value that the settings refuse is told as the option
    that gave it, when the command line is read.
    """
    signature = inspect.signature(verb, eval_str=True)
    parameters: list[inspect.Parameter] = []
    own: dict[str, tuple[Settings, dict[str, str]]] = {}
    for parameter in signature.parameters.values():
        default = parameter.default
        if not isinstance(default, Settings):
            parameters.append(parameter)
            continue
        names = next(iter(get_args(parameter.annotation)[1:]), but())(type(default))
        own[parameter.name] = default, names
        parameters += [_option(default, field, name) for field, name in names.items()]

    @wraps(verb)
    def run(**given: Any) -> None:
        for parameter, (default, names) in own.items():
            chosen = {field: given.pop(name) for field, name in names.items()}
            content = default.model_dump(mode="json") | chosen
            given[parameter] = parse_settings(type(default), content)
        verb(**given)

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run


def _option(default: Settings, field: str, name: str) -> inspect.Parameter:
    """Returns a field as a parameter of the kind that typer makes an option of."""
    settings, value = type(default), getattr(default, field)
    about, option = settings.model_fields[field], f"--{name.replace('_', '-')}"
    hint: Any = about.annotation
    if get_origin(hint) is tuple:
        hint, value = list[get_args(hint)[0]], list(value)  # type: ignore[misc]
    limits = bounds(about)

    def check(given: Any) -> Any:
        try:
            parse_settings(settings, {field: given})
        except UserError as error:
            if all(each.setting != field for each in error.errors):
                return given  # what this option does not set is missing
            shown = f"{given:g}" if isinstance(given, float) else given
            raise UserError(f"{option} {shown}: give a number {limits}") from error
        return given

    told = typer.Option(
        option,
        callback=check if limits else None,
        help=meaning(settings, field).replace("`", ""),
        metavar=f"NUMBER {limits}" if limits else None,
    )
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(name, kind, default=value, annotation=Annotated[hint, told])


def command() -> str:
    """Returns what the user typed, for the record."""
    return shlex.join(["chiasm", *sys.argv[1:]])


def check_folder(folder: Path) -> None:
    """Refuses an --out that cannot become a folder."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"--out {folder}: {there} is a file; give a folder")


def check_run(run: Path) -> None:
    """Refuses a run that does not exist."""
    if not run.is_dir():
        raise UserError(f"{run} does not exist; give a run folder")
    if not (run / "recipe.toml").is_file():
        raise UserError(f"{run} is no run: it has no recipe.toml; give a folder of chiasm train")


def check_file(path: Path) -> None:
    """Refuses an --out that cannot become a file."""
    if path.is_dir():
        raise UserError(f"--out {path} is a folder; give a file")
    if not path.absolute().parent.is_dir():
        raise UserError(f"--out {path}: there is no folder {path.parent}; make it first")


def numbers(option: str, text: str) -> list[float]:
    """Returns the positive numbers of a comma-separated list."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(f"{option} {text}: write numbers with commas, such as 1e12,3e12") from error
    if not all(0 < value < float("inf") for value in values):
        raise UserError(f"{option} {text}: every number must be above 0")
    return values
