"""A kind of a user's own that lacks its one method is told by its class, not by a traceback."""

from typing import Literal

import pytest

from chiasm.data.source import Opening, SourceSettings
from chiasm.errors import UserError
from chiasm.model.settings import AttentionSettings, ModelSettings


class EmptySource(SourceSettings):
    kind: Literal["empty"] = "empty"


class EmptyAttention(AttentionSettings):
    kind: Literal["empty"] = "empty"


def test_a_kind_without_its_method_is_named() -> None:
    with pytest.raises(UserError, match=r"has no open\(\) in EmptySource; define it"):
        EmptySource().open("mine", Opening(sequence_length=8))
    with pytest.raises(UserError, match=r"has no build\(\) in EmptyAttention; define it"):
        EmptyAttention().build(ModelSettings(), None)
