"""The paper's findings as data: claims, published numbers, and the measurement of each.

``findings.toml`` beside this file holds them, so that a further finding needs no code. Published
numbers that a study measures are defined only in the study's file, and are read from there. The
file is read as strictly as a recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from chiasm.errors import UserError
from chiasm.settings import Settings
from chiasm.shipped import shipped_files
from chiasm.studies.settings import StudySettings, load_study
from chiasm.toml import load_toml, parse_settings

SHIPPED = Path(__file__).parent / "findings.toml"

STUDY_COMMANDS = (
    "chiasm study run recipes/studies/{name}.toml --slots 2",
    "chiasm study report recipes/studies/{name}.toml",
    "chiasm report keep runs/studies/{name}",
)
"""Commands that reproduce a study's result."""

Quantity = Literal["size_exponent", "token_exponent", "gap", "growth"]


class ResultSettings(Settings):
    """Something that was, or can be, measured here."""

    commands: tuple[str, ...] = Field(min_length=1)
    """What makes it again, line by line."""
    refit: str = ""
    """The paper's own optima, refitted: ``paper-dense`` or ``paper-moe``. Nothing is trained."""


class StudyMeasureSettings(Settings):
    """A paired difference between two cells of a study."""

    result: str
    """The study's name; its file is ``NAME.toml``."""
    metric: str
    """One of its metrics; lower is better where it is for the published number, and so on."""
    cell: str
    """The cell that corresponds to ``value``."""
    against: str
    """The cell that corresponds to ``against``."""


class LawMeasureSettings(Settings):
    """A number of a scaling law."""

    result: str
    """The fit's name."""
    quantity: Quantity
    """Exponent of N or of D, the first modality's size exponent minus the other's, or growth of
    the first's need for data relative to the other's."""
    of: str
    """A modality."""
    minus: str = ""
    """For ``gap`` and ``growth``: the other modality."""
    size: float | None = Field(None, gt=0)
    """For ``growth``: active parameters; growth is since 1e9."""
    minus_result: str = ""
    """A fit whose same number is subtracted."""
    rival: float | None = None
    """A value that the claim excludes: an interval that holds it as well as the published value
    decides nothing."""


class NumberSettings(Settings):
    """One published number, and what measures it here."""

    name: str = Field(min_length=1)
    """What was measured there."""
    value: float | None = None
    """None: the article tells the direction and no number that can be read. What ``study``
    measures is taken from its ``published``."""
    against: float | None = None
    """The published value that ``value`` is compared to."""
    uncertainty: float | None = Field(None, gt=0)
    """Of ``value`` and ``against`` each: of reading a plot, or half a unit of the last digit."""
    source: str = Field(min_length=1)
    """Section, figure or table."""
    follows: str = ""
    """The name of the finding's number that says the same; it is shown and not judged again."""
    study: StudyMeasureSettings | None = None
    laws: tuple[LawMeasureSettings, ...] = ()

    @model_validator(mode="after")
    def _can_be_judged(self) -> NumberSettings:
        if self.study is not None and (self.value, self.against) != (None, None):
            raise ValueError(f"{self.name!r} has a study that says value and against: remove them")
        if self.laws and self.value is None:
            raise ValueError(f"{self.name!r} has laws; give its value")
        return self

    @property
    def is_measurable(self) -> bool:
        """Whether a study or a law measures it."""
        return self.study is not None or bool(self.laws)


class FindingSettings(Settings):
    """One claim of the paper."""

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    """Names it in the JSON and in links."""
    part: str = Field(min_length=1)
    """The heading under which it stands."""
    claim: str = Field(min_length=1)
    numbers: tuple[NumberSettings, ...] = Field(min_length=1)
    waits: str = ""
    """Why not all of its numbers are measured here."""

    @model_validator(mode="after")
    def _has_one_number_of_its_own(self) -> FindingSettings:
        own = [number.name for number in self.numbers if not number.follows]
        for number in self.numbers:
            if number.follows and number.follows not in own:
                raise ValueError(
                    f"{number.name!r} follows {number.follows!r}; name a number of {self.id} that "
                    f"follows none: {', '.join(own)}"
                )
        return self


class Findings(Settings):
    """The whole file."""

    article: str
    results: dict[str, ResultSettings]
    """What no study says: of each law and each refit, how it is made."""
    findings: tuple[FindingSettings, ...]


def load_findings(path: Path = SHIPPED, studies: Path | None = None) -> Findings:
    """Returns the findings of a file, with published numbers and commands of studies filled in.

    Args:
        path: file of findings.
        studies: folder of the studies that it names; None: those that come with the package.

    Raises:
        UserError: unknown setting, wrong value, or names that do not exist.
    """
    findings = parse_settings(Findings, load_toml(path))
    studies = studies or shipped_files("recipes/studies")
    numbers = [number for finding in findings.findings for number in finding.numbers]
    names = dict.fromkeys(number.study.result for number in numbers if number.study is not None)
    read = {name: load_study(studies / f"{name}.toml") for name in names}
    made = {
        name: ResultSettings(commands=tuple(line.format(name=name) for line in STUDY_COMMANDS))
        for name in names
    }
    findings = findings.model_copy(update={"results": {**made, **findings.results}})
    if problems := _problems(findings):
        raise UserError("\n".join(f"{path}: {problem}" for problem in problems))
    filled = (
        finding.model_copy(update={"numbers": tuple(_filled(n, read) for n in finding.numbers)})
        for finding in findings.findings
    )
    return findings.model_copy(update={"findings": tuple(filled)})


def _filled(number: NumberSettings, studies: Mapping[str, StudySettings]) -> NumberSettings:
    """Returns the number with the published values of its study."""
    if (study := number.study) is None:
        return number
    entries = studies[study.result].published
    values = {entry.cell: entry.value for entry in entries if entry.metric == study.metric}
    for cell in (study.cell, study.against):
        if cell not in values:
            raise UserError(
                f"{number.name!r}: study {study.result} has published no {study.metric!r} of cell "
                f"{cell!r}; say it there"
            )
    update = {"value": values[study.cell], "against": values[study.against]}
    return number.model_copy(update=update)


def results_of(finding: FindingSettings) -> list[str]:
    """Returns the names of all results that a finding depends on, in order."""
    names = []
    for number in finding.numbers:
        names += [number.study.result] if number.study is not None else []
        names += [name for law in number.laws for name in (law.result, law.minus_result) if name]
    return list(dict.fromkeys(names))


def _problems(findings: Findings) -> list[str]:
    known = ", ".join(findings.results)
    ids = [finding.id for finding in findings.findings]
    return [
        *(f"two findings have the id {name!r}" for name in {i for i in ids if ids.count(i) > 1}),
        *(
            f"{finding.id} names the result {name!r}, which is not there; there is: {known}"
            for finding in findings.findings
            for name in results_of(finding)
            if name not in findings.results
        ),
        *(
            f"{finding.id} has a number that nothing measures here; say why in waits"
            for finding in findings.findings
            if not finding.waits and not all(number.is_measurable for number in finding.numbers)
        ),
    ]
