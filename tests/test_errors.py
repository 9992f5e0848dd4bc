import pytest

from chiasm.errors import UserError, found_at, joined, setting, settings_of


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


def test_a_reason_may_name_the_setting_itself() -> None:
    error = UserError(f"{setting('b')} and {setting('c')} differ", setting="b", value=1)
    assert str(error.under("a")) == "a.b and a.c differ"
    assert (error.under("a").setting, error.setting) == ("a.b", "b")


def test_where_it_was_found_is_put_before() -> None:
    with pytest.raises(UserError) as caught, settings_of("a"), found_at("file"), found_at("line 3"):
        raise UserError("is wrong", setting="b", value=1)
    assert str(caught.value) == "file: line 3: a.b = 1 is wrong"
    assert caught.value.setting == "a.b"


def test_several_errors_are_one_and_each_keeps_its_setting() -> None:
    one, other = UserError("is wrong", setting="b"), UserError("no space left")
    assert joined([one]) is one
    both = joined([one, other]).under("a").at("file")
    assert str(both) == "file: a.b is wrong\nfile: no space left"
    assert [error.setting for error in both.errors] == ["a.b", ""]


def test_a_kind_of_error_stays_one_under_a_prefix() -> None:
    class OfItsKind(UserError):
        pass

    with pytest.raises(OfItsKind, match=r"^a\.b is wrong"), settings_of("a"):
        raise OfItsKind("is wrong", setting="b")
