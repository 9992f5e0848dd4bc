"""The true view against the frames that were rendered."""

import numpy as np

from chiasm.documents import Image
from chiasm.inference.pictures import fitted
from chiasm.walk.starts import Place


def test_recorded_steps_lead_to_the_recorded_views(walker, world, starts) -> None:
    shape = walker.pretrained.vision_tokenizer.image_shape
    [walk, *_] = world.walks
    place = Place(world.views[walk[0]].map_seed, world.views[walk[0]].pose)
    seen = []
    for frame in walk[:-1]:
        action = world.step(frame, frame + 1).action
        text = walker.pretrained.actions.write(action)
        place, blocked = walker.truth.after(place, action, text)
        assert not blocked
        seen.append(place)
    for view, frame in zip(walker.truth.views(seen), walk[1:], strict=True):
        expected = fitted(Image(world.frames[frame], target=False), shape)
        # A few millimetres and hundredths of a degree are lost in the text.
        assert np.abs(view.astype(int) - expected.astype(int)).mean() < 6


def test_a_wall_stops_a_step(walker, starts) -> None:
    place, blocked = starts[0].place, False
    read = walker.pretrained.actions.read
    for _ in range(40):
        place, blocked = walker.truth.after(place, read("W"), "W")
        if blocked:
            break
    assert blocked
    again, blocked = walker.truth.after(place, read("W"), "W")
    assert blocked
    assert again == place
