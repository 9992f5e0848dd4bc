import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from chiasm.data.tokenizer import SPECIAL_TOKENS, TextTokenizer
from chiasm.errors import UserError


@settings(deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_comes_back(made, text):
    assert made.tokenizer.decode(made.tokenizer.encode(text)) == text


def test_specials_are_distinct_and_inside_the_vocabulary(made):
    t = made.tokenizer
    ids = {t.pad_id, t.bod_id, t.eod_id, *t.marks["image"]}
    assert len(ids) == 6
    assert max(ids) < t.vocabulary_size


def test_specials_that_a_user_types_stay_text(made):
    t = made.tokenizer
    text = "a <|boi|> and <|image|><|eod|>"
    special = {t.pad_id, t.bod_id, t.eod_id, *t.marks["image"]}
    assert not special & set(t.encode(text))
    assert t.decode(t.encode(text)) == text


def test_streams_beside_pictures_have_marks_of_their_own(tmp_path):
    t = TextTokenizer.train(["a door"], 300, ["sound", "series"])
    assert list(t.marks) == ["image", "sound", "series"]
    special = {t.pad_id, t.bod_id, t.eod_id, *(mark for own in t.marks.values() for mark in own)}
    assert len(special) == 12
    assert max(special) < t.vocabulary_size
    typed = "a <|begin sound|> and <|latent series|>"
    assert not special & set(t.encode(typed))
    assert t.decode(t.encode(typed)) == typed
    assert t.decode([*t.encode("a"), *t.marks["sound"]]) == "a"
    t.save(tmp_path)
    again = TextTokenizer.load(tmp_path)  # it keeps those it has
    assert (again.marks, again.fingerprint) == (t.marks, t.fingerprint)
    assert TextTokenizer.load(tmp_path, ["smell"]).marks.keys() == {*t.marks, "smell"}
    with pytest.raises(UserError, match="268 or more"):
        TextTokenizer.train(["a door"], 267, ["sound", "series"])


def test_decoding_drops_specials(made):
    t = made.tokenizer
    begin, end, fill = t.marks["image"]
    assert t.decode([t.bod_id, *t.encode("brick"), begin, fill, end]) == "brick"


def test_digits_stand_alone(made):
    t = made.tokenizer
    tokens = [t.decode([token]) for token in t.encode("dx=+27.27")]
    assert [token for token in tokens if token.strip().isdigit()] == ["2", "7", "2", "7"]


def test_training_is_deterministic_and_merges():
    texts = ["the wall is brick, the wall is grey", "a wall of 12 bricks"] * 5
    one, two = (TextTokenizer.train(texts, 300) for _ in range(2))
    assert one.fingerprint == two.fingerprint
    assert len(one.encode("the wall is brick")) < len("the wall is brick") / 2


def test_the_vocabulary_has_the_size_asked_for():
    texts = [f"{a}{b}" * 3 for a in "abcdefgh" for b in "klmnopqr"]
    assert TextTokenizer.train(texts, 280).vocabulary_size == 280


def test_a_vocabulary_too_small_for_bytes_is_refused():
    with pytest.raises(UserError, match=r"vocabulary_tokens = 200.*262"):
        TextTokenizer.train(["a"], 200)


def test_saved_and_loaded_is_the_same(made, tmp_path):
    made.tokenizer.save(tmp_path / "text")
    for path in (tmp_path / "text", tmp_path / "text" / "tokenizer.json"):
        loaded = TextTokenizer.load(path)
        assert loaded.fingerprint == made.tokenizer.fingerprint
        assert loaded.vocabulary_size == made.tokenizer.vocabulary_size
        assert loaded.encode("27 <|eod|> lamps") == made.tokenizer.encode("27 <|eod|> lamps")


def test_a_hugging_face_tokenizer_by_path_gets_the_specials(tmp_path):
    backend = Tokenizer(models.WordLevel({"[UNK]": 0, "wall": 1, "door": 2}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.enable_truncation(2)
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(str(tmp_path))
    loaded = TextTokenizer.load(str(tmp_path))
    assert loaded.encode("wall door wall roof") == [1, 2, 1, 0]  # and nothing is cut off
    assert loaded.vocabulary_size == 3 + len(SPECIAL_TOKENS)


def test_a_broken_file_is_one_clear_message(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"model": ')
    with pytest.raises(UserError, match=r"tokenizer\.json cannot be read"):
        TextTokenizer.load(tmp_path)


@pytest.mark.slow
def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"tokenizer\.path = .*nowhere"):
        TextTokenizer.load(str(tmp_path / "nowhere"))
