"""Base classes of measures, and their registry.

    @MEASURES.register
    class Brightness(Measure[BrightnessSettings]):
        section = "brightness"
        settings = BrightnessSettings
        ...

A measure is one file: its settings, its words on the page, and its findings. It is imported with
the recipe, and itself imports torch and the sampler only inside functions that measure.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from chiasm.capabilities import ActionVideos
from chiasm.errors import UserError
from chiasm.evaluation.evaluation import Findings
from chiasm.evaluation.material import NothingToMeasure
from chiasm.evaluation.shared import MeasureSettings, WalkSettings

if TYPE_CHECKING:
    from chiasm.evaluation.run import Run

Own = TypeVar("Own", bound=MeasureSettings)
Walked = TypeVar("Walked", bound=WalkSettings)
AnySource = TypeVar("AnySource")

NO_DECODER = "there is no decoder of pictures, so none can be drawn"
NO_WALKS = (
    "no source has walks with actions; those that do are stream.sources.NAME.kind = 'trajectories' "
    "or 'world', 'catalog' or 'lerobot' with task = 'action_video'"
)
NO_POSES = (
    "no source has walks with actions and poses; those that do are stream.sources.NAME.kind = "
    "'trajectories' or 'world' with task = 'action_video'"
)


class Measure(ABC, Generic[Own]):
    """A quantity that is measured on held-out data, or samples that are shown of it."""

    section: ClassVar[str]
    """Name of the section of its rows and samples."""
    baselines: ClassVar[str] = ""
    """Description of its baselines, for the page."""
    others: ClassVar[Mapping[str, str]] = {}
    """Further sections of its rows → their description."""
    heading: ClassVar[str] = ""
    """Heading of its samples."""
    lead: ClassVar[str] = ""
    """Introduction to its samples."""
    overview: ClassVar[str] = ""
    """Heading of its first samples in overview.png; empty: they are left out."""
    settings: ClassVar[type[MeasureSettings]] = MeasureSettings
    """Class of its settings."""

    def check(self, settings: Own) -> None:
        """Checks, before anything is trained or measured, what would end it hours later.

        Raises:
            UserError: a file that it needs is not there.
        """

    def applies(self, run: Run[Own]) -> str:
        """Returns the reason why it cannot be measured; empty where it can."""
        return ""

    @abstractmethod
    def measure(self, run: Run[Own]) -> Findings:
        """Returns its findings."""

    def by_source(
        self,
        sources: Mapping[str, AnySource],
        measure: Callable[[str, AnySource, str], Findings],
        excused: type[UserError] = NothingToMeasure,
    ) -> Findings:
        """Returns the findings on each source.

        Args:
            sources: by name.
            measure: takes a source's name, the source, and the suffix of its rows' names: its name,
                where there are several sources.
            excused: where this error is raised, the source is listed as not measured.
        """
        found = []
        for name, source in sources.items():
            of = f", {name}" if len(sources) > 1 else ""
            try:
                found.append(measure(name, source, of))
            except excused as error:
                found.append(Findings(skipped={f"{self.section}{of}": str(error)}))
        return Findings.merged(found)


class WalkMeasure(Measure[Walked]):
    """A measure on every source of trajectories with actions."""

    def applies(self, run: Run[Walked]) -> str:
        """Returns the reason why it cannot be measured; empty where it can."""
        if not run.pretrained.draws:
            return NO_DECODER
        return "" if run.material.action_videos() else NO_WALKS

    def sources(self, run: Run[Walked]) -> Mapping[str, ActionVideos]:
        """Returns the held-out sources that it is measured on."""
        return run.material.action_videos()

    def measure(self, run: Run[Walked]) -> Findings:
        """Returns the findings on each source."""
        return self.by_source(
            self.sources(run),
            lambda name, source, of: self.measure_walks(
                run, run.material.training_walks(name), source, of
            ),
        )

    @abstractmethod
    def measure_walks(
        self, run: Run[Walked], train: ActionVideos, held_out: ActionVideos, of: str = ""
    ) -> Findings:
        """Returns the findings on one source; ``of`` is appended to the names of its rows.

        Raises:
            NothingToMeasure: the walks have nothing that could be measured.
        """


class Measures:
    """The registered measures, in the order in which they are measured and shown."""

    def __init__(self) -> None:
        self._measures: dict[str, Measure[Any]] = {}

    def __iter__(self) -> Iterator[Measure[Any]]:
        return iter(self._measures.values())

    def __len__(self) -> int:
        return len(self._measures)

    def register(self, measure: type[Measure[Any]]) -> type[Measure[Any]]:
        """Adds a measure behind the registered ones; a class decorator.

        Raises:
            ValueError: another one has its section or one of its settings already.
        """
        for other in self:
            if _name(type(other)) == _name(measure):
                continue  # its module was imported anew
            if other.section == measure.section:
                raise ValueError(
                    f"measure {measure.section!r} is registered by {other.__module__} already; "
                    "choose another section"
                )
            own, theirs = measure.settings, other.settings
            common = (base for base in own.__mro__ if issubclass(theirs, base))
            shared = {name for base in common for name in getattr(base, "model_fields", ())}
            if taken := (own.model_fields.keys() & theirs.model_fields.keys()) - shared:
                raise ValueError(
                    f"measure {measure.section!r}: evaluation.{min(taken)} is a setting of measure "
                    f"{other.section!r} already; choose another name"
                )
        self._measures[measure.section] = measure()
        return measure


def _name(of: type) -> tuple[str, str]:
    return of.__module__, of.__qualname__
