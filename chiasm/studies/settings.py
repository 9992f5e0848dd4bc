"""Settings of a study file: the runs that are compared, their metrics, and published values.

A study is one TOML file. Reading is as strict as a recipe's: an unknown name is an error that names
the nearest one. Nothing about a comparison stands anywhere else.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field, create_model, model_validator

import chiasm.recipe  # noqa: F401  (registers the kinds of sources)
from chiasm.data.source import SOURCES, SourceSettings
from chiasm.errors import UserError, joined, setting
from chiasm.registry import Registry
from chiasm.settings import Settings
from chiasm.toml import load_toml, parse_settings

EQUAL_WITHIN = 0.02
"""Relative difference between cells that still counts as equal: packing leaves other paddings."""

EQUAL_SECONDS_WITHIN = 0.1
"""The same for wall-clock, which is measured."""

VALIDATION_LOSSES = ("loss", "text_loss", "flow_loss", "inner_loss")
"""Losses of a run's validation, over all sources."""

Equal = Literal[
    "tokens", "text_tokens", "vision_tokens", "flops", "active_parameters", "wall_clock", "source"
]


class CellSettings(Settings):
    """One of the runs that are compared; every seed trains it once."""

    name: str = Field(min_length=1)
    """Names it in tables."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Settings of the base recipe that differ, by dotted name; in texts ``{seed}`` is the seed."""
    sources: dict[str, float] = Field(default_factory=dict)
    """Sources that the cell reads and their weights; the base recipe's others are left out. Empty:
    all of them, with the recipe's weights."""
    budget_flops: float | None = Field(None, gt=0)
    """IsoFLOP studies: the budget that the cell belongs to."""


class HeldOutSettings(SourceSettings):
    """Documents that every cell is measured on, whatever it was trained on: these settings, and
    beside them those of any kind of source."""

    documents: int = Field(200, ge=2)
    """How many held-out documents are scored."""
    text_only: bool = False
    """Leave the pictures out and score the words alone."""


class _HeldOut(Registry[HeldOutSettings]):
    """The registered kinds of sources, each with what a study says of it as well."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the registered sources."""
        return SOURCES.kinds

    def of(self, kind: str) -> type[HeldOutSettings]:
        """Returns the class of a kind."""
        return _held_out(SOURCES.of(kind))

    def class_of(self, table: Any) -> type[HeldOutSettings] | None:
        """Returns the class that a table's ``kind`` names; None where it names none."""
        kind = SOURCES.class_of(table)
        return None if kind is None else _held_out(kind)


@cache
def _held_out(kind: type[SourceSettings]) -> type[HeldOutSettings]:
    bases: tuple[Any, ...] = kind, HeldOutSettings
    made: Any = create_model(kind.__name__, __base__=bases)
    return cast(type[HeldOutSettings], made)


HELD_OUT = _HeldOut("source")


class MetricSettings(Settings):
    """One number of every cell; exactly one of its three origins is given."""

    name: str = Field(min_length=1)
    """Names it in tables; ``loss_<modality>`` makes it a column of an IsoFLOP study's points."""
    held_out: str = ""
    """A name under ``held_out``: its documents' loss, measured when the cell is trained."""
    loss: Literal["text", "flow"] = "text"
    """For ``held_out``: bits per byte of the words, or velocity loss of the pictures to draw."""
    validation: str = ""
    """A loss of the run's last validation, such as ``text_loss`` or ``flow_loss/video``."""
    report: str = ""
    """A row of the run's report.json; asking for one makes the cell do the whole evaluation."""
    better: Literal["lower", "higher"] = "lower"
    """Which way is better."""

    @model_validator(mode="after")
    def _one_origin(self) -> MetricSettings:
        if sum(map(bool, (self.held_out, self.validation, self.report))) != 1:
            raise ValueError(
                f"the metric {self.name!r} needs exactly one of held_out, validation and report"
            )
        return self


class PublishedSettings(Settings):
    """A number from the literature, shown beside what is measured here."""

    cell: str
    """The cell that it corresponds to."""
    metric: str
    """The metric that it corresponds to."""
    value: float
    """What was published."""
    name: str
    """What was measured there."""
    source: str = Field(min_length=1)
    """Where it stands: article, figure or table."""


class PublishedShiftSettings(Settings):
    """A distance from the literature."""

    name: str
    """Of which texts."""
    value: float
    """What was published."""
    source: str = Field(min_length=1)
    """Where it stands, and with which embedding."""


class ShiftSettings(Settings):
    """How far texts lie from a corpus: see :mod:`chiasm.studies.shift`."""

    corpus: str
    """A name under ``held_out``."""
    texts: tuple[str, ...] = Field(min_length=1)
    """Names under ``held_out`` whose distance to the corpus is measured."""
    published: tuple[PublishedShiftSettings, ...] = ()
    """What others found."""


class StudySettings(Settings):
    """A whole study file."""

    name: str = Field(min_length=1, pattern=r"^[\w.-]+$")
    """Names the study and its folder."""
    question: str = ""
    """What the study asks, for its page."""
    recipe: Path
    """The base recipe, relative to the study file."""
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    """Every cell is trained once with each."""
    equal: Equal | None = None
    """What all cells must have in common, checked before anything runs; None: nothing is."""
    equal_source: str = ""
    """For ``equal = "source"``: the source whose positions all cells read alike."""
    baseline: str = ""
    """The cell that the others are held against; empty: the first."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Settings of the base recipe that differ in every cell, by dotted name."""
    cells: tuple[CellSettings, ...] = ()
    """The runs; empty: the grid alone."""
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    """Dotted setting → its values; every cell is made once for each combination."""
    held_out: dict[str, Annotated[HeldOutSettings, HELD_OUT]] = Field(default_factory=dict)
    """What every cell is measured on, by name."""
    metrics: tuple[MetricSettings, ...] = Field(min_length=1)
    """What is compared."""
    published: tuple[PublishedSettings, ...] = ()
    """What others found."""
    shift: ShiftSettings | None = None
    """Distances of texts to a corpus, where the study asks for them."""


def load_study(path: Path) -> StudySettings:
    """Returns a study file's settings; its recipe's path is resolved against it.

    Raises:
        UserError: unreadable file, unknown setting, wrong value, or names that lead nowhere.
    """
    if not path.is_file():
        raise UserError(f"study {path} does not exist; give a TOML file")
    study = parse_settings(StudySettings, load_toml(path))
    study = study.model_copy(update={"recipe": (path.parent / study.recipe).resolve()})
    if errors := _errors(study):
        raise joined(errors).at(str(path))
    return study


def _errors(study: StudySettings) -> list[UserError]:
    return [
        *_repeated("cells", [cell.name for cell in study.cells]),
        *_repeated("metrics", [metric.name for metric in study.metrics]),
        *_repeated("seeds", [str(seed) for seed in study.seeds]),
        *_unknown_held_out(study),
        *_unmeasurable(study),
        *_unknown_published(study),
        *(
            UserError("has no values; give at least one", setting=f"grid.{name}")
            for name, values in study.grid.items()
            if not values
        ),
        *_equal_source_errors(study),
        *_budget_errors(study),
    ]


def _repeated(what: str, names: list[str]) -> list[UserError]:
    return [
        UserError(f"has {name!r} {names.count(name)} times; give each another name", setting=what)
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]


def _unknown_held_out(study: StudySettings) -> list[UserError]:
    known = ", ".join(study.held_out) or "none"
    asked = {f"metric {m.name!r}": [m.held_out] for m in study.metrics if m.held_out}
    if study.shift is not None:
        asked["shift"] = [study.shift.corpus, *study.shift.texts]
    return [
        UserError(f"has no {name!r}", setting="held_out", remedy=f"there is: {known}").at(who)
        for who, names in asked.items()
        for name in names
        if name not in study.held_out
    ]


def _unmeasurable(study: StudySettings) -> list[UserError]:
    """Returns errors of metrics that no run can have, instead of after the training."""
    losses = f"{', '.join(VALIDATION_LOSSES)}, each by source, such as text_loss/stories"
    remedy = f"there is {losses}, and of a stream beside pictures, such as series/flow_loss"
    errors = [
        m.error("validation", "is no loss of a run", remedy).at(f"metric {m.name!r}")
        for m in study.metrics
        if m.validation and not _is_loss(m.validation)
    ]
    flow = [m for m in study.metrics if m.held_out in study.held_out and m.loss == "flow"]
    return errors + [
        UserError(
            'has no pictures to draw; give loss = "text", or a source with pictures',
            setting=f"held_out.{m.held_out}",
        ).at(f"metric {m.name!r}")
        for m in flow
        for source in [study.held_out[m.held_out]]
        if source.text_only or not source.has_pictures
    ]


def _is_loss(name: str) -> bool:
    first, _, rest = name.partition("/")
    return first in VALIDATION_LOSSES or rest.partition("/")[0] in ("flow_loss", "inner_loss")


def _unknown_published(study: StudySettings) -> list[UserError]:
    metrics = [metric.name for metric in study.metrics]
    remedy = f"there is: {', '.join(metrics)}"
    return [
        entry.error("metric", "is not there", remedy).under("published")
        for entry in study.published
        if entry.metric not in metrics
    ]


def _equal_source_errors(study: StudySettings) -> list[UserError]:
    if (study.equal == "source") == bool(study.equal_source):
        return []
    why = f'{setting("equal")} = "source" and equal_source = "NAME" belong together'
    return [UserError(why, setting="equal", remedy="give both or neither")]


def _budget_errors(study: StudySettings) -> list[UserError]:
    without = [cell.name for cell in study.cells if cell.budget_flops is None]
    if not without or len(without) == len(study.cells):
        return []
    why = f"is missing in cells {', '.join(without)}"
    return [UserError(why, setting="budget_flops", remedy="give it to all or to none")]
