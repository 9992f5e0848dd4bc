"""The trainer on a real stream, a real decoder and real pictures, all tiny."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._inductor import config

from chiasm.data.kinds import TextSettings
from chiasm.data.settings import StreamSettings
from chiasm.data.stream import Stream
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document, Image, Text
from chiasm.errors import UserError
from chiasm.loop.checkpoint import Checkpoints
from chiasm.loop.metrics import read_metrics
from chiasm.loop.optimizer import AdamWSettings
from chiasm.loop.progress import StepReport
from chiasm.loop.schedule import ScheduleSettings
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.training.objective import Objective
from chiasm.training.settings import InnerObjective, ObjectiveSettings, TrainingSettings
from chiasm.training.trainer import Trainer
from chiasm.training.validation import Validation
from chiasm.vision.pixels import pixel_tokenizer

pytestmark = pytest.mark.slow

SENTENCE = "the red door stands left of a green lamp and a blue wall"


class Drawings:
    """Half pictures of one colour with its name, half texts alone; functions of the index."""

    name = "drawings"

    def __len__(self) -> int:
        return 200

    def __getitem__(self, index: int) -> Document:
        random = np.random.default_rng(index)
        text = Text(" ".join(random.choice(SENTENCE.split(), 6)))
        if index % 2:
            return Document((text,))
        colour = random.integers(0, 256, 3, dtype=np.uint8)
        return Document((text, Image(np.tile(colour, (8, 8, 1)), target=index % 4 == 0)))


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer.train([SENTENCE], 300)


Build = Callable[..., Trainer]


@pytest.fixture
def build(tokenizer: TextTokenizer) -> Build:
    def build(
        batch_size: int = 4,
        model: dict[str, object] | None = None,
        seen_pixels: int = 0,
        objective: ObjectiveSettings | None = None,
        **settings: object,
    ) -> Trainer:
        training = TrainingSettings(
            **{
                "steps": 6,
                "validation_batches": 2,
                "validate_every_steps": 4,
                "checkpoint_every_steps": 3,
                "optimizer": AdamWSettings(learning_rate=1e-2),
                "schedule": ScheduleSettings(warmup_steps=2),
                **settings,
            }
        )
        of_streams = {"image": pixel_tokenizer(8, 4)}
        if seen_pixels:  # context pictures have a tokenizer of their own
            of_streams["seen"] = pixel_tokenizer(seen_pixels, 4)
        for own in of_streams.values():
            size = own.image_shape.height_pixels
            generator = torch.Generator().manual_seed(0)
            own.measure([torch.rand(64, 3, size, size, generator=generator)], data="noise")
        tokenizers = StreamTokenizers(of_streams, {"seen": "image"} if seen_pixels else None)
        source = TextSettings(path="unused")
        stream_settings = StreamSettings(
            sources={"drawings": source}, sequence_length=32, batch_size=batch_size
        )

        def stream(seed: int) -> Stream:
            sources = {"drawings": Drawings()}
            return Stream(stream_settings, sources, tokenizer, tokenizers, seed)

        held_out = stream(99)
        validation = Validation(
            [next(held_out) for _ in range(training.validation_batches)],
            tokenizers,
            torch.device("cpu"),
        )
        held_out.close()
        shape = {"width": 16, "depth": 2, "query_heads": 2, "key_value_heads": 1, **(model or {})}
        decoder = Decoder(
            ModelSettings(**shape),
            vocabulary=tokenizer.vocabulary_size,
            streams=tokenizers.streams,
        )
        return Trainer(
            decoder,
            Objective(objective or ObjectiveSettings()),
            tokenizers,
            stream(1),
            validation,
            training,
            seed=1,
            tell=lambda line: None,
        )

    return build


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {name: w.detach().clone() for name, w in trainer.decoder.state_dict().items()}


def test_the_loss_falls(build: Build, tmp_path: Path) -> None:
    trainer = build(steps=60, validate_every_steps=10)
    trainer.run(tmp_path)
    assert trainer.progress.step == 60
    lines = read_metrics(tmp_path / "metrics.jsonl")
    validation = [line for line in lines if line["phase"] == "validation"]
    assert len(validation) == 6
    for name in ("text_loss", "flow_loss"):
        assert validation[-1][name] < 0.8 * validation[0][name]


@pytest.mark.parametrize("model", [{}, {"shortcut_steps": 8}])
def test_accumulation_equals_one_big_batch(build: Build, model: dict) -> None:
    """Counts differ from batch to batch, so an average of averages would differ."""
    # A large epsilon keeps updates proportional to gradients: without it, rounding decides the
    # sign of updates wherever a gradient is nearly zero.
    optimizer = AdamWSettings(learning_rate=1e-2, epsilon=1.0)
    big = build(batch_size=8, optimizer=optimizer, model=model)
    small = build(batch_size=2, gradient_accumulation_steps=4, optimizer=optimizer, model=model)
    for _ in range(3):
        of_big, of_small = big.step(), small.step()
        for name, value in of_big.values.items():
            assert of_small.values[name] == pytest.approx(value, rel=2e-4), name
    for name, weight in weights(big).items():
        torch.testing.assert_close(weights(small)[name], weight, rtol=1e-5, atol=1e-6)


MIXTURE = {"experts": "moe", "moe": {"num_experts": 8, "shared_experts": "modality"}}
INNER = {
    "model": {"inner": {"block": 1}},
    "objective": ObjectiveSettings(prediction="preconditioned", inner=InnerObjective(until_step=5)),
}
STATES = {"model": {"inner": {"block": 1, "target": "average"}}, "ema_decay": 0.9}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model": MIXTURE, "router_bias_rate": 1e-3},
        {"seen_pixels": 12},
        {"model": {"shortcut_steps": 8}, "ema_decay": 0.5},
        INNER,
        STATES,
    ],
)
def test_resumed_equals_uninterrupted(build: Build, tmp_path: Path, changes: dict) -> None:
    whole = build(**changes)
    whole.run(tmp_path / "whole")

    class Killed(BaseException):
        """What no handler of the trainer catches, as SIGKILL."""

    def kill_at(step: int) -> Callable:
        def on_step(report: object) -> None:
            if report.step == step:
                raise Killed

        return on_step

    for step in (2, 5):
        with pytest.raises(Killed):
            build(**changes).run(tmp_path / "killed", kill_at(step))
    resumed = build(**changes)
    resumed.run(tmp_path / "killed")
    for name, weight in weights(whole).items():
        assert torch.equal(weights(resumed)[name], weight), name
    metrics = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "killed")]
    assert metrics[0] == metrics[1]


@pytest.mark.parametrize(("changes", "told"), [(INNER, True), (STATES, False)])
def test_the_inner_loss_is_reported_and_falls(
    build: Build, tmp_path: Path, changes: dict, told: bool
) -> None:
    """Validation has no average beside the weights that it is of."""
    trainer = build(**changes, steps=40, validate_every_steps=20)
    trainer.run(tmp_path)
    lines = read_metrics(tmp_path / "metrics.jsonl")
    of_phase = {
        phase: [line for line in lines if line["phase"] == phase]
        for phase in ("train", "validation")
    }
    losses = [line["inner_loss"] for line in of_phase["train"] if "inner_loss" in line]
    assert fmean(losses[-10:]) < 0.95 * fmean(losses[:10])
    assert all(("inner_loss" in line) == told for line in of_phase["validation"])


def test_the_average_of_the_weights_says_where_shortcuts_lead(build: Build) -> None:
    """The first step's rows have shortcuts, and the average is not yet the weights."""
    taught = build(model={"shortcut_steps": 8}, ema_decay=0.9)
    taught.average.weights["latent_head.image.weight"] += 0.1
    own = build(model={"shortcut_steps": 8})
    before, found, other = weights(taught), taught.backward(), own.backward()
    assert all(torch.equal(weight, before[name]) for name, weight in weights(taught).items())
    bins, wanted = (each.losses.flow["image"].sum_bins for each in (found, other))
    assert torch.equal(bins[:-1], wanted[:-1])
    assert bins[-1] != wanted[-1]


def test_a_checkpoint_of_an_earlier_version_is_told(build: Build, tmp_path: Path) -> None:
    tensors = build().state.tensors() | {"optimizers": {"state": {"0": {"step": torch.ones(1)}}}}
    progress = {"counters": {"step": 1}, "stream": build().stream.get_state()}
    Checkpoints(tmp_path / "checkpoints", 2, print).save(1, tensors, progress)
    with pytest.raises(UserError, match="an earlier version of chiasm; start the run again with"):
        build().run(tmp_path)


@pytest.mark.parametrize("changes", [{}, {"model": MIXTURE, "router_bias_rate": 1e-3}, STATES])
def test_a_rehearsal_leaves_no_trace(build: Build, changes: dict) -> None:
    """What the number of threads is measured by may come at any step."""
    plain, rehearsed = build(**changes), build(**changes)
    for step in range(4):
        for _ in range(step):
            rehearsed.rehearse()
        assert plain.step().values == rehearsed.step().values
    for name, weight in weights(plain).items():
        assert torch.equal(weights(rehearsed)[name], weight), name
    assert plain.stream.get_state() == rehearsed.stream.get_state()
    assert torch.equal(plain.state.tensors()["random"], rehearsed.state.tensors()["random"])


@pytest.mark.parametrize("experts", ["modality", "dense"])
def test_fifty_steps_by_hand_are_those_of_plain_definitions(
    build: Build, monkeypatch, experts: str
) -> None:
    """Sorted positions, attention by windows and fused halves against none of them."""
    model = {"experts": experts}
    rate = AdamWSettings(learning_rate=2e-3)
    by_hand = build(steps=50, model=model, optimizer=rate)
    found = [by_hand.step().losses["text_loss"] for _ in range(50)]
    monkeypatch.setattr("chiasm.model.elementwise.on_cpu_in_float32", lambda x: False)
    plain = build(steps=50, model=model, optimizer=rate)
    wanted = [plain.step().losses["text_loss"] for _ in range(50)]
    assert wanted[-1] < 0.9 * wanted[0]
    assert found == pytest.approx(wanted, rel=1e-4)
    assert found != wanted  # other kernels, other last digits


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # of its own imports
def test_without_a_compiler_blocks_run_as_they_are(build: Build) -> None:
    torch._dynamo.reset()
    plain, compiled, told = build(), build(compile_blocks=True), []
    compiled.tell = told.append
    missing = {"cpp.cxx": ("a-compiler-that-is-not-there",), "force_disable_caches": True}
    with config.patch(missing):
        compiled.prepare()
    assert len(told) == 1
    assert "they cannot be compiled and run as they are" in told[0]
    assert compiled.step().losses == plain.step().losses


def test_activations_made_again_change_no_bit_of_a_run(build: Build) -> None:
    kept, again = (build(activation_checkpointing=mode) for mode in ("none", "full"))
    assert again.decoder.activation_checkpointing == "full"
    for _ in range(2):
        assert kept.step().values["loss"] == again.step().values["loss"]
    for name, own in weights(kept).items():
        assert torch.equal(own, weights(again)[name])


@pytest.fixture
def nobody_decided(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Torch has two threads of its own accord."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("chiasm.threads._AT_IMPORT", 2)
    monkeypatch.setattr("chiasm.threads.MEASURING_SECONDS", 0.1)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


UNEVEN = {"model": {"width": 32, **MIXTURE}, "steps": 8}
"""Six routed experts: where the router's gradients may depend on the number of threads."""


@pytest.mark.parametrize("model", [{}, {"width": 128}, {"attention_weights": "modality"}])
def test_a_dense_model_has_equal_bits_with_one_and_two_threads(build: Build, model: dict) -> None:
    trained = []
    for number in (1, 2):
        trainer = build(model=model, batch_size=16)
        with trainer.threads(None, number).in_use(0):
            values = [trainer.step().values for _ in range(4)]
        trained.append((values, weights(trainer)))
    assert trained[0][0] == trained[1][0]
    for name, weight in trained[0][1].items():
        assert torch.equal(trained[1][1][name], weight), name


@pytest.mark.usefixtures("nobody_decided")
def test_resumed_equals_uninterrupted_where_the_threads_changed(
    build: Build, tmp_path: Path
) -> None:
    changes = [{"step": 0, "threads": 2}, {"step": 4, "threads": 1}, {"step": 5, "threads": 2}]

    class Killed(BaseException):
        pass

    def kill(report: StepReport) -> None:
        if report.step == 5:
            raise Killed

    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "threads.json").write_text(json.dumps(changes))
    whole, resumed = build(**UNEVEN), build(**UNEVEN)
    whole.run(tmp_path / "whole")
    with pytest.raises(Killed):
        build(**UNEVEN).run(tmp_path / "killed", kill)
    resumed.run(tmp_path / "killed")  # from step 3, before the changes
    for name in ("whole", "killed"):
        lines = read_metrics(tmp_path / name / "timing.jsonl")
        assert [line["threads"] for line in lines] == [2, 2, 2, 2, 1, 2, 2, 2]
    for name, weight in weights(whole).items():
        assert torch.equal(weights(resumed)[name], weight), name
    metrics = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "killed")]
    assert metrics[0] == metrics[1]


@pytest.mark.usefixtures("nobody_decided")
def test_the_number_of_threads_is_measured_recorded_and_kept(build: Build, tmp_path: Path) -> None:
    build(steps=3).run(tmp_path)
    record = tmp_path / "threads.json"
    (begun,) = json.loads(record.read_text())
    assert begun["step"] == 0
    assert begun["threads"] in (1, 2)
    assert torch.get_num_threads() == 2
    other = 3 - begun["threads"]  # whatever is measured now, the run goes on as it began
    record.write_text(json.dumps([{"step": 0, "threads": other}]))
    build(steps=6).run(tmp_path)
    lines = read_metrics(tmp_path / "timing.jsonl")
    assert [line["threads"] for line in lines] == [begun["threads"]] * 3 + [other] * 3


def test_a_given_number_is_kept_and_recorded(build: Build, tmp_path: Path) -> None:
    build(steps=3).run(tmp_path)
    assert json.loads((tmp_path / "threads.json").read_text()) == [{"step": 0, "threads": 1}]


def test_routers_are_told_of_and_balanced(build: Build) -> None:
    trainer = build(model=MIXTURE, router_bias_rate=1e-3)
    mixture = trainer.decoder.mixtures()[1]
    values = trainer.step().values
    assert values["balance_loss"] >= 0.9
    for kind in ("text", "vision", "all"):
        assert 1 <= values[f"experts/largest_load/{kind}"] <= 6 / 3
        assert 0 < values[f"experts/entropy/{kind}"] <= 1
        assert 0 <= values[f"experts/unused/{kind}"] < 1
    assert set(mixture.router.expert_bias_R.abs().tolist()) != {0.0}
    assert float(mixture.router.expert_bias_R.abs().max()) <= 2e-3
    assert not any(name.startswith("experts/") for name in build().step().values)


def test_a_finished_run_is_not_trained_again(build: Build, tmp_path: Path) -> None:
    build().run(tmp_path)
    again = build()
    again.run(tmp_path)
    assert again.progress.step == 6
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 8


def poison(trainer: Trainer, steps: set[int]) -> None:
    """Make the gradient of chosen steps infinite, as an overflow would."""
    losses = trainer.objective.losses

    def poisoned(*arguments: object, **named: object) -> object:
        found = losses(*arguments, **named)
        if trainer.progress.step in steps and torch.is_grad_enabled():
            return replace(found, text=replace(found.text, sum=found.text.sum * torch.inf))
        return found

    trainer.objective.losses = poisoned  # type: ignore[method-assign]


def test_a_step_that_is_not_finite_is_skipped_and_counted(build: Build) -> None:
    trainer = build()
    poison(trainer, {1})
    trainer.step()
    before = weights(trainer)
    report = trainer.step()
    assert report.values["skipped_steps"] == 1
    assert not np.isfinite(report.values["gradient_norm"])
    assert all(torch.equal(weight, before[name]) for name, weight in weights(trainer).items())
    report = trainer.step()
    assert report.values["skipped_steps"] == 1
    assert any(not torch.equal(weight, before[name]) for name, weight in weights(trainer).items())
    assert all(weight.isfinite().all() for weight in weights(trainer).values())


def test_repeated_failure_ends_the_run(build: Build, tmp_path: Path) -> None:
    trainer = build(steps=20)
    poison(trainer, {4, *range(7, 17)})
    with pytest.raises(UserError, match=r"step 17 of 20: .* not finite in 10 steps in a row"):
        trainer.run(tmp_path)
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines if line.get("gradient_norm", 0) is None] == [
        *(5, *range(8, 17))
    ]


def test_a_mistake_in_the_data_loses_no_step(build: Build, tmp_path: Path, monkeypatch) -> None:
    whole, trainer, mended = (build(checkpoint_every_steps=100) for _ in range(3))
    whole.run(tmp_path / "whole")
    backward = trainer.backward

    def fails_at_step_5() -> object:
        if trainer.progress.step == 4:
            raise UserError("drawings[9]: a stream that the run has not")
        return backward()

    monkeypatch.setattr(trainer, "backward", fails_at_step_5)
    with pytest.raises(UserError, match=r"drawings\[9\]"):
        trainer.run(tmp_path / "mended")
    mended.tell = (told := []).append
    mended.run(tmp_path / "mended")
    assert told == ["going on from step 4 of 6"]
    expected = weights(whole)
    assert all(torch.equal(own, expected[name]) for name, own in weights(mended).items())


@pytest.mark.parametrize("stream", ["image", "seen"])
def test_latents_that_are_not_standardized_are_refused(
    build: Build, tmp_path: Path, stream: str
) -> None:
    trainer = build(seen_pixels=12)
    own = trainer.tokenizers[stream]
    own.statistics = replace(own.statistics, std_C=(0.01,) * 48)
    with pytest.raises(UserError, match="not standardized"):
        trainer.run(tmp_path)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_validation_repeats_itself_and_covers_every_level(build: Build) -> None:
    trainer = build(validation_batches=8)
    assert trainer.validation is not None
    first = trainer.validation.run(trainer.decoder, trainer.objective)
    assert trainer.validation.run(trainer.decoder, trainer.objective) == first
    times = {name for name in first if name.startswith("flow_loss_by_time/")}
    assert times == {f"flow_loss_by_time/{time}" for time in (0.1, 0.3, 0.5, 0.7, 0.9)}
    trainer.step()
    assert trainer.validation.run(trainer.decoder, trainer.objective) != first


def test_reports_name_what_they_measure(build: Build) -> None:
    trainer = build()
    report = trainer.step()
    assert report.values["text_loss/drawings"] == pytest.approx(report.values["text_loss"])
    total = report.values["text_loss"] + 3 * report.values["flow_loss"]
    assert report.values["loss"] == pytest.approx(total)
    rate = report.values["learning_rate"]
    assert rate == pytest.approx(1e-2 / 2)
    groups = trainer.optimizers["gradient_norm"].param_groups
    assert [group["lr"] for group in groups] == [rate] * 3
    assert 0 < report.values["tokens"] <= 4 * 32
    assert report.timing["tokens_per_second"] <= report.timing["positions_per_second"]
    assert 0 < report.timing["mfu_exact"] < 1


def test_bfloat16_trains_on_float32_weights(build: Build) -> None:
    trainer, exact = build(precision="bfloat16"), build()
    losses = [(trainer.step().values["loss"], exact.step().values["loss"]) for _ in range(3)][1:]
    assert all(weight.dtype == torch.float32 for weight in weights(trainer).values())
    for rounded, loss in losses:
        assert rounded != loss
        assert rounded == pytest.approx(loss, rel=0.05)
