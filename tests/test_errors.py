import pytest

from chiasm.errors import UserError, setting, settings_of


def test_an_error_carries_its_setting_its_value_and_the_remedy() -> None:
    error = UserError("does not divide 7", setting="patch", value=3, remedy="choose 1 or 7")
    assert (error.setting, error.value, error.remedy) == ("patch", 3, "choose 1 or 7")
    assert str(error) == "patch = 3 does not divide 7; choose 1 or 7"


def test_who_composes_adds_the_prefix_to_every_name() -> None:
    with pytest.raises(UserError) as caught, settings_of("streams"), settings_of("depth"):
        raise UserError(f"goes with {setting('path')}", setting="layer", value=2)
    assert str(caught.value) == "streams.depth.layer = 2 goes with streams.depth.path"
    assert (caught.value.setting, caught.value.value) == ("streams.depth.layer", 2)


def test_words_of_users_are_never_taken_for_names() -> None:
    with pytest.raises(UserError, match=r"^t\.path = 'a\.path' is \{path\} \\1$"), settings_of("t"):
        raise UserError(r"is {path} \1", setting="path", value="a.path")


def test_an_error_without_a_setting_is_its_text() -> None:
    assert str(UserError("the disk is full")) == "the disk is full"
    assert str(UserError("a", setting="b")) == "b a"
    assert str(UserError(", which is short", setting="b", value=1)) == "b = 1, which is short"
