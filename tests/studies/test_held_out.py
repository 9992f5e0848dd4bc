"""What all cells are measured on: the same documents, with a fingerprint that says so."""

import pytest

from chiasm.errors import UserError
from chiasm.recipe import load_recipe
from chiasm.studies.held_out import fingerprint, open_held_out
from chiasm.studies.opened import Opened
from chiasm.studies.settings import HELD_OUT


def held_out_settings(**settings):
    return HELD_OUT.of(settings["kind"]).model_validate(settings)


@pytest.fixture
def recipe(study_path):
    return load_recipe(study_path().with_name("recipe.toml"))


def test_the_manual_is_held_out_text(recipe, tmp_path):
    manual = held_out_settings(kind="python_manual", documents=30)
    found = open_held_out(recipe, {"manual": manual}, Opened(tmp_path))["manual"]
    assert len(found.documents) == 30
    assert any("the " in document.text for document in found.documents)
    again = open_held_out(recipe, {"manual": manual}, Opened(tmp_path))
    assert fingerprint({"manual": found}) == fingerprint(again)
    fewer = open_held_out(
        recipe, {"manual": manual.model_copy(update={"documents": 29})}, Opened(tmp_path)
    )
    assert fingerprint(again) != fingerprint(fewer)


@pytest.mark.slow
def test_freedoom_is_another_domain_to_walk_in(recipe, tmp_path):
    few = {"maps": 3, "walks_per_map": 4, "frames_per_walk": 3}
    walks = held_out_settings(kind="freedoom", documents=6, **few)
    found = open_held_out(recipe, {"freedoom": walks}, Opened(tmp_path))["freedoom"]
    assert all(document.text.startswith("action: dx=") for document in found.documents)
    assert len(set(found.clusters)) > 1
    again = open_held_out(recipe, {"freedoom": walks}, Opened(tmp_path))  # what is there is kept
    assert fingerprint(again) == fingerprint({"freedoom": found})


def test_words_can_stand_alone(recipe, tiny_data, tmp_path):
    pictures = held_out_settings(
        kind="image_text", path=str(tiny_data / "pictures"), held_out_fraction=0.5, documents=8
    )
    words = pictures.model_copy(update={"text_only": True})
    found = open_held_out(recipe, {"pictures": pictures, "words": words}, Opened(tmp_path))
    assert any(any(document.images) for document in found["pictures"].documents)
    assert not any(any(document.images) for document in found["words"].documents)
    texts = [[document.text for document in found[name].documents] for name in found]
    assert texts[0] == texts[1]
    with pytest.raises(UserError, match="held_out_fraction"):
        open_held_out(
            recipe, {"few": words.model_copy(update={"held_out_fraction": 0.9999})}, Opened()
        )
