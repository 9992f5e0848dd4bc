from typing import Annotated, Literal

import pytest
from pydantic import Field

from chiasm.errors import UserError
from chiasm.registry import Registry
from chiasm.settings import Settings
from chiasm.toml import as_toml, parse_settings


class Shape(Settings):
    kind: str
    colour: str = "red"


SHAPES = Registry[Shape]("shape", default="disc")


@SHAPES.register
class Disc(Shape):
    kind: Literal["disc"] = "disc"
    radius: int = 1


@SHAPES.register
class Box(Shape):
    kind: Literal["box"] = "box"
    sides: tuple[int, int] = (1, 2)
    inner: Disc = Disc()


class Drawing(Settings):
    first: Annotated[Shape, SHAPES] = Disc()
    others: dict[str, Annotated[Shape, SHAPES]] = Field(default_factory=dict)


def test_a_table_is_of_the_class_that_its_kind_names() -> None:
    content = {"first": {"radius": 3}, "others": {"a": {"kind": "box", "sides": [3, 4]}}}
    drawing = parse_settings(Drawing, content)
    assert drawing == Drawing(first=Disc(radius=3), others={"a": Box(sides=(3, 4))})
    dumped = drawing.model_dump(mode="json", exclude_none=True)
    assert dumped["others"]["a"]["sides"] == [3, 4]
    assert parse_settings(Drawing, dumped) == drawing
    assert "[others.a.inner]" in as_toml(dumped)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"first": {"kind": "cone"}}, r"first.kind = 'cone' is no kind of shape; choose one of"),
        ({"first": {"radios": 3}}, "unknown setting first.radios; the nearest is first.radius"),
        ({"first": {"radius": "3"}}, "first.radius = '3': should be a valid integer"),
        ({"first": 3}, "first = 3: should be a table"),
        (
            {"others": {"a": {"kind": "box", "innen": {}}}},
            "unknown setting others.a.innen; the nearest is others.a.inner",
        ),
        (
            {"others": {"a": {"kind": "box", "inner": {"radios": 1}}}},
            "unknown setting others.a.inner.radios; the nearest is others.a.inner.radius",
        ),
        (
            {"others": {"a": {"radius": 1, "xyzzy": [1, 2]}}},
            "unknown setting others.a.xyzzy; others.a has kind, colour, radius",
        ),
    ],
)
def test_a_mistake_is_named_as_the_file_has_it(content, message) -> None:
    with pytest.raises(UserError, match=message):
        parse_settings(Drawing, content)


def test_a_kind_is_registered_once() -> None:
    with pytest.raises(ValueError, match="shape 'disc' is registered by"):

        @SHAPES.register
        class Other(Shape):
            kind: Literal["disc"] = "disc"
