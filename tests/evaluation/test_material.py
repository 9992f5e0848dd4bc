import numpy as np
import pytest

from chiasm.actions import Action, ActionFormat
from chiasm.documents import Document, Image, Sound, Text
from chiasm.evaluation.evaluate import evaluate
from chiasm.evaluation.material import Material, asked_picture, pick, spread
from chiasm.poses import Pose
from chiasm.waveform import Waveform


def test_documents_of_one_map_share_a_cluster(material):
    source = material.held_out["action_video"]
    items = pick(source, 30)
    assert set(items.clusters) <= set(source.world.map_of_frame)
    assert len(set(items.clusters)) > 1


def test_every_story_has_a_map_of_its_own(material):
    items = pick(material.held_out["text"], 10)
    assert len(set(items.clusters)) == 10


def test_both_documents_of_one_picture_share_a_cluster(folder_material):
    items = pick(folder_material.held_out["emoji"], 100)
    assert len(items.documents) == 2 * len(set(items.clusters))


def test_a_source_that_knows_what_its_pictures_show_is_found_in_no_folder(
    material, folder_material
):
    train, held_out = material.described()
    assert held_out is material.held_out["image_text"], "others know it too, and ask for nothing"
    assert (train.world.split, held_out.world.split) == ("train", "held_out")
    assert folder_material.described() is None


class OwnWalks:
    """A user's source of action videos: what :class:`ActionVideos` asks for and nothing more."""

    def __init__(self, walks: int = 3, tells: bool = True) -> None:
        self.name, self._count, self._tells = "own", walks, tells

    def __len__(self):
        return 6 * self._count

    def __getitem__(self, index):
        first = self.walks[index % self._count][index // self._count]
        step = [Text(self.action(first, first + 1))] if self._tells else []
        after = Image(self.picture(first + 1).data, target=True)
        return Document((self.picture(first), *step, after))

    @property
    def walks(self):
        return [range(10 * n, 10 * n + 8) for n in range(self._count)]

    def picture(self, frame):
        pixels = np.random.default_rng(frame).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        return Image(pixels, target=False)

    def action(self, before, after):
        return ActionFormat().write(Action.between(self.pose(before), self.pose(after)))

    def pose(self, frame):
        return Pose((1 + 0.1 * (frame // 10)) * (frame % 10), 0.0, 0.0)

    def place_of(self, frame):
        return frame // 10


def test_a_users_own_action_videos_are_measured(pretrained, settings):
    own = Material({"mine": OwnWalks()}, {"mine": OwnWalks()})
    assert list(own.action_videos()) == ["mine"]
    evaluation = evaluate(pretrained, own, settings)
    sections = {row.section for row in evaluation.rows}
    assert {"next view", "rollout", "flow loss"} <= sections
    assert not {"next view", "rollout"} & evaluation.skipped.keys()
    clusters = {row.num_clusters for row in evaluation.rows if row.section == "next view"}
    assert clusters == {3}


class Driven:
    """Walks whose actions are controls: without poses, what :class:`ActionVideos` asks for."""

    def __init__(self) -> None:
        self.name, self._own = "driven", OwnWalks()
        self.walks, self.picture, self.place_of = (
            self._own.walks,
            self._own.picture,
            self._own.place_of,
        )

    def __len__(self):
        return len(self._own)

    def __getitem__(self, index):
        first, _, after = self._own[index].spans
        return Document((first, Text("action: steering=+0.10"), after))

    def action(self, before, after):
        return f"action: steering={0.1 * (before // 10):+.2f}"


def test_controls_without_poses_are_measured_and_not_planned_on(pretrained, settings):
    driven = Material({"mine": Driven()}, {"mine": Driven()})
    assert list(driven.action_videos()) == ["mine"]
    assert not driven.posed_videos()
    evaluation = evaluate(pretrained, driven, settings.model_copy(update={"plans": 2}))
    sections = {row.section for row in evaluation.rows}
    assert {"next view", "rollout"} <= sections
    assert "plans" not in sections
    assert "has walks with actions and poses" in evaluation.skipped["plans"]


class OwnTruth:
    """A user's pictures of one colour each, with captions: what :class:`Described` asks for."""

    colours = ("red", "green", "blue")

    def __init__(self) -> None:
        self.name = "own"

    def __len__(self):
        return 48

    def __getitem__(self, index):
        picture = Image(self.picture(index).data, target=True)
        return Document((Text(f"picture: all {self.facts(index)['colour']}"), picture))

    @property
    def clear_frames(self):
        return np.arange(len(self))

    def frame_of(self, index):
        return index

    def picture(self, frame):
        pixels = np.random.default_rng(frame).integers(0, 60, (32, 32, 3), dtype=np.uint8)
        pixels[..., frame % 3] += 180
        return Image(pixels, target=False)

    def facts(self, frame):
        return {"colour": self.colours[frame % 3]}

    def place_of(self, frame):
        return frame // 6


def test_a_users_own_ground_truth_is_what_drawn_pictures_are_held_against(pretrained, settings):
    evaluation = evaluate(
        pretrained, Material({"mine": OwnTruth()}, {"mine": OwnTruth()}), settings
    )
    rows = {row.name: row for row in evaluation.rows if row.section == "caption to picture"}
    assert rows["the probe's own accuracy, colour, real held-out frames"].value == 1
    assert rows["what the caption names is found in the drawn picture"].num_clusters > 1


def test_what_no_source_knows_is_left_out_with_the_setting_that_would_know_it(
    pretrained, folder_material, settings
):
    asked = settings.model_copy(update={"instructions": 2})
    skipped = evaluate(pretrained, folder_material, asked).skipped
    for section in ("caption to picture", "next view", "rollout", "instructions"):
        assert "stream.sources.NAME.kind = 'world'" in skipped[section].replace(
            "'trajectories' or ", ""
        )


def test_walks_without_words_are_no_action_videos(material):
    assert not Material({}, {"mine": OwnWalks(tells=False)}).action_videos()
    assert list(material.action_videos()) == ["action_video"], "other tasks know the walks too"


class Heard(OwnWalks):
    """Walks whose documents are of pictures and what is heard there."""

    def __getitem__(self, index):
        first = self.walks[index % self._count][index // self._count]
        sound = Sound(Waveform(np.zeros(100, np.float32), 8000), target=True)
        return Document((self.picture(first), Text("sound:"), sound))


def test_a_word_between_a_picture_and_a_sound_is_no_action():
    assert not Material({}, {"mine": Heard()}).action_videos()


def test_walks_that_sound_are_apart_from_those_that_are_seen(sounding, material):
    assert list(sounding.sounding_videos()) == ["steps"]
    assert not sounding.action_videos()
    assert not material.sounding_videos()
    assert list(material.action_videos()) == ["action_video"]


def test_a_source_says_which_of_its_documents_belong_together(pretrained, settings):
    class Grouped:
        """Texts in groups of three."""

        name = "grouped"

        def __len__(self):
            return 12

        def __getitem__(self, index):
            return Document((Text(f"story number {index} of twelve"),))

        def cluster_of(self, index):
            return index // 3

    assert pick(Grouped(), 12).clusters.tolist() == sorted([0, 1, 2, 3] * 3)
    evaluation = evaluate(pretrained, Material({"g": Grouped()}, {"g": Grouped()}), settings)
    assert {row.num_clusters for row in evaluation.rows if row.section == "text"} == {4}


def test_the_pictures_of_arrays_cluster_as_those_of_files_do():
    class Pairs:
        name = "pairs"

        def __len__(self):
            return 8

        def __getitem__(self, index):
            pixels = np.full((4, 4, 3), index // 2, np.uint8)
            return Document((Image(pixels, target=False), Text(f"caption: {index}")))

    assert len(set(pick(Pairs(), 8).clusters)) == 4


@pytest.mark.parametrize(("length", "count"), [(10, 4), (3, 10), (1, 5), (0, 3)])
def test_spread_gives_different_numbers_from_end_to_end(length, count):
    numbers = spread(length, count)
    assert len(numbers) == len(set(numbers)) == min(length, count)
    if length:
        assert numbers[0] == 0
        assert count == 1 or numbers[-1] == length - 1


def test_only_a_document_that_asks_for_a_picture_is_a_request_for_one():
    picture = Image(np.zeros((4, 4, 3), np.uint8), target=True)
    asked = asked_picture(Document((Text("picture: a sun"), picture)))
    assert asked is not None
    assert asked == ("a sun", picture)
    assert asked_picture(Document((picture, Text("caption: a sun")))) is None
