"""A trained model in Python: the page's script as it stands, verbs, batches and refusals."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

import chiasm
from chiasm.documents import Continuous, Document, Image, Text
from chiasm.errors import UserError
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.walks import WalkDocuments
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask
from chiasm.worldmodel.rollout import Context, Rollouts

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
BLACK = np.zeros((8, 8, 3), np.uint8)
QUICK = {"steps": 2, "max_tokens": 6}


@pytest.fixture(scope="module")
def folder(world_model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    replace(world_model, walks=WalkDocuments(views=3)).save(folder / "runs" / "quickstart")
    return folder


@pytest.fixture(scope="module")
def model(folder: Path):
    return chiasm.load(folder / "runs" / "quickstart")


@pytest.fixture
def picture() -> PillowImage.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return PillowImage.fromarray(pixels)


@pytest.mark.slow
def test_the_script_of_the_page_runs_as_it_stands(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    script = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    assert len(script.splitlines()) < 30
    exec(script, names := {})
    assert capsys.readouterr().out
    assert names["view"].size == (8, 8)
    assert [len(names["ahead"]), len(names["left"]), len(names["answers"])] == [3, 2, 2]
    assert names["vectors"].shape == (2, 32)
    with PillowImage.open("imagined.png") as saved:
        assert saved.size == (8, 8)


def test_one_is_as_the_first_of_a_batch(model, picture: PillowImage.Image) -> None:
    one = model.write("view", seed=3, **QUICK)
    assert isinstance(one, str)
    assert model.write(["view", "action"], seed=3, **QUICK)[0] == one
    [spans] = Sampler(model).generate(
        [Request((Text("view"),), 3)], SamplingSettings(max_items=0, **QUICK)
    )
    assert one == Document(tuple(spans)).text
    drawn = model.draw(["a", "b"], seed=1, steps=2)
    assert np.array_equal(model.draw("a", seed=1, steps=2), drawn[0])
    assert model.caption([picture], **QUICK) == [model.caption(picture, **QUICK)]
    assert model.answer([picture] * 2, "what?", seed=1, **QUICK) == model.answer(
        picture, ["what?"] * 2, seed=1, **QUICK
    )
    assert (
        model.answer(picture, "what?", seed=1, **QUICK)
        == model.answer([picture], ["what?"], seed=1, **QUICK)[0]
    )


def test_pictures_may_be_given_in_any_form(
    model, picture: PillowImage.Image, tmp_path: Path
) -> None:
    picture.save(path := tmp_path / "view.png")
    forms = (picture, path, path.read_bytes(), np.asarray(picture), Image(picture, target=False))
    assert len({model.write((form, "view"), **QUICK) for form in forms}) == 1
    assert model.caption(str(path), **QUICK) == model.caption(picture, **QUICK)


def test_a_stream_gives_the_same_piece_by_piece(model) -> None:
    settings = {"seed": 5, "steps": 2, "max_tokens": 30, "max_items": 1, "temperature": 1.5}
    whole = model.go_on("view", **settings)
    pieces = list(model.stream("view", **settings))
    joined = ["".join(p for p in found if isinstance(p, str)) for found in (whole, pieces)]
    assert joined[0] == joined[1] != ""
    assert sum(not isinstance(piece, str) for piece in pieces) == sum(
        not isinstance(piece, str) for piece in whole
    )


def test_imagined_views_are_those_of_a_rollout(model, picture: PillowImage.Image) -> None:
    settings = SamplingSettings(guidance=1.0, steps=2)
    actions = [model.actions.write(model.actions.read(key)) for key in ("W", "W", "A")]
    [expected] = Rollouts.of(model, settings).imagine(
        [Context((np.asarray(picture),))], [actions], seed=4
    )
    found = model.imagine(picture, ["W", "W", "A"], seed=4, steps=2)
    assert np.array_equal(np.stack(list(map(np.asarray, found))), expected)
    several = model.imagine(picture, [["W", "W", "A"], ["D"]], seed=4, steps=2)
    assert [len(own) for own in several] == [3, 1]
    assert len(model.imagine(picture, "turn left", views=2, steps=2)) == 2


def test_scores_and_vectors_are_those_of_the_decoder(model, picture: PillowImage.Image) -> None:
    text = "view view action"
    ids = [model.text_tokenizer.bod_id, *model.text_tokenizer.encode(text)]
    ids_BT = torch.tensor([[*ids, model.text_tokenizer.eod_id]])
    positions_BT = torch.arange(ids_BT.shape[1]).unsqueeze(0)
    inputs = DecoderInput(ids_BT, torch.ones_like(ids_BT), positions_BT, {})
    x_TD = model.decoder(
        inputs, IntervalMask(torch.zeros_like(ids_BT), positions_BT, ids_BT.shape[1])
    )[0]
    logp_TV = model.decoder.text_logits(x_TD).log_softmax(-1)
    nats = -logp_TV[:-1].gather(1, ids_BT[0, 1:, None]).sum().item()
    score, other = model.score([text, (picture, "view")])
    assert score.nats == pytest.approx(nats, rel=1e-5)
    assert score.text_bytes == len(text)
    assert score.bits_per_byte == pytest.approx(nats / np.log(2) / len(text), rel=1e-5)
    assert model.score((picture, "view")).nats == pytest.approx(other.nats, rel=1e-5)
    expected = x_TD.mean(0).numpy()
    assert np.allclose(model.embed(text), expected, atol=1e-5)
    assert np.allclose(model.embed([(picture, "a"), text])[1], expected, atol=1e-5)


def test_it_shows_itself(model) -> None:
    assert "parameters" in repr(model)
    assert "<th>stream image</th>" in model._repr_html_()
    assert len(repr(model)) < 300


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda m: m.write([]), "^prompts is empty; give one or more"),
        (
            lambda m: m.write("view", temprature=1),
            "unknown setting temprature; the nearest is temp",
        ),
        (lambda m: m.draw("a", guidance=0.5), r"guidance = 0\.5: .*greater than or equal to 1"),
        (lambda m: m.write("view " * 400), "takes .* positions but the model's context holds 400"),
        (lambda m: m.answer(["a.png"] * 2, ["b"] * 3), "there are 2 pictures, 3 questions"),
        (lambda m: m.caption("none.png"), "none.png"),
        (lambda m: m.caption(np.zeros((4, 4, 7))), r"shape \(4, 4, 7\) .* give \[H, W\]"),
        (lambda m: m.imagine(BLACK, ["jump"]), "actions: step 1 of 1: 'jump' is neither"),
        (lambda m: m.write((1, "a")), "given as int; give a path"),
        (lambda m: m.score(BLACK), "prompts: there is no text to score; give some"),
        (
            lambda m: m.score(["a", "view " * 400]),
            "prompts: number 1 takes .* and the context 400;",
        ),
        (lambda m: m.embed("view " * 400), "prompts: number 0 takes"),
        (lambda m: m.write("view", seed=np.int64(-1)), "seed = .* is no seed; give 0"),
        (lambda m: m.write("view", seed=-1), "seed = -1 is no seed; give 0"),
        (lambda m: m.write("view", seed=0.5), r"seed = 0\.5 is no seed"),
        (lambda m: m.draw("a", num_inference_steps=3), "num_inference_steps; there is steps"),
        (lambda m: m.write(Continuous([1.0], False, "series")), "no stream 'series' here, only im"),
    ],
)
def test_mistakes_are_told_as_on_the_command_line(model, ask, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ask(model)


@pytest.mark.slow
def test_a_recipe_is_looked_at_and_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text(f"this is text {number} of twenty")
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        f'name = "tiny"\n[tokenizer]\nvocabulary_tokens = 280\n[stream]\nsequence_length = 64\n'
        f'[stream.sources.t]\nkind = "text"\npath = "{tmp_path}"\n'
        "[model]\nwidth = 16\ndepth = 1\nquery_heads = 2\nkey_value_heads = 1\n"
        "[training]\nsteps = 9\nschedule.warmup_steps = 1\nvalidation_batches = 0\n"
    )
    monkeypatch.chdir(tmp_path)
    material = chiasm.sources(recipe)
    assert material.train["t"][0].text.startswith("this is text")
    assert repr(material) == "<Material: documents of train: t 19; of held_out: t 1>"
    trained = chiasm.train(recipe, **{"training.steps": 2})
    assert isinstance(trained.write("this", **QUICK), str)
    assert (tmp_path / "runs" / "tiny" / "model").is_dir()
    with pytest.raises(UserError, match=r"model\.widht.*nearest is model\.width"):
        chiasm.train(recipe, **{"model.widht": 8})
