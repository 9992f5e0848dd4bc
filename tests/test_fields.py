"""Settings in words: the literal below a field, wherever it is defined, and its bounds."""

from pydantic import Field

from chiasm.fields import bounds, home, meaning
from chiasm.settings import Settings


class Base(Settings):
    """What others add to."""

    share: float = Field(0.5, gt=0, le=1)
    """Of :class:`~chiasm.settings.Settings`,
    in ``parts``."""
    name: str = ""
    """Free."""


class Derived(Base):
    """Adds nothing to what it has, and changes a default."""

    name: str = "other"
    """Of its own."""


def test_a_docstring_is_found_where_the_field_is_defined() -> None:
    assert meaning(Derived, "share") == "Of `chiasm.settings.Settings`, in `parts`."
    assert (meaning(Base, "name"), meaning(Derived, "name")) == ("Free.", "Of its own.")
    assert home(Derived, "share") is Base


def test_bounds_are_told_in_signs() -> None:
    assert bounds(Derived.model_fields["share"]) == "> 0 and ≤ 1"
    assert bounds(Derived.model_fields["name"]) == ""
