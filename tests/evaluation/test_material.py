import numpy as np
import pytest

from chiasm.documents import Document, Image, Text
from chiasm.evaluation.material import asked_picture, pick, spread


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


def test_the_world_is_found_by_its_task_and_not_in_a_folder(material, folder_material):
    train, held_out = material.of_task("vqa")
    assert (train.world.split, held_out.world.split) == ("train", "held_out")
    assert folder_material.of_task("image_text") is None


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
