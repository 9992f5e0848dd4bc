import numpy as np

from chiasm.documents import Document, Image, Text
from chiasm.evaluation.clips import cut_clips
from chiasm.evaluation.run import Run
from chiasm.inference.tasks import generate_items


def test_frames_are_imagined_behind_the_beginning_of_a_training_document(
    pretrained, filmed, settings
):
    material = filmed(frames_per_second=5.0)
    run = Run(pretrained, material, settings)
    source = material.held_out["films"]
    document = next(source[n] for n in range(len(source)) if isinstance(source[n].spans[0], Text))
    clips, _ = cut_clips(run, source)
    place = clips.captions.index(document.text)
    own = clips.select([place])
    assert [item.target for item in own.items[0]] == [item.target for item in document.items]
    sampling = run.settings.imagining
    imagined = own.imagine(run, own.captions, 2, sampling).frames
    assert imagined.shape == (1, 3, 32, 32, 3)
    prompt = document.spans[:3]
    seed = settings.seed
    [first] = generate_items(run.sampler, [prompt], "image", settings=sampling, seed=seed)
    assert np.array_equal(imagined[0, 0], first.pixels())
    longer = [(*prompt, Image(first.data, target=True))]
    [second] = generate_items(run.sampler, longer, "image", settings=sampling, seed=seed + 1)
    assert np.array_equal(imagined[0, 1], second.pixels())


def test_clips_are_cut_to_what_half_of_them_have(pretrained, filmed, settings):
    material = filmed("video", frames_per_second=5.0)
    source = material.held_out["films"]

    class Uneven:
        """Of every third clip the last two frames are missing."""

        name = source.name

        def __len__(self):
            return len(source)

        def __getitem__(self, index):
            document = source[index]
            return document if index % 3 else Document(document.spans[:-2])

    clips, horizons = cut_clips(Run(pretrained, material, settings), Uneven())
    assert clips.frames.shape[:2] == (4, 5)
    assert horizons == [1, 2, 3]
