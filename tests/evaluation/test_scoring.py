import numpy as np
import pytest

from chiasm.batch.packed import NO_LABEL
from chiasm.evaluation.material import pick
from chiasm.evaluation.scoring import batches, score_flow, score_text


@pytest.mark.parametrize("task", ["text", "image_text", "vqa", "action_video"])
def test_a_document_scores_the_same_alone_and_among_others(task, pretrained, material):
    documents = pick(material.held_out[task], 5).documents
    together = score_text(documents, pretrained, seed=0).nats
    alone = [score_text([document], pretrained, seed=0).nats[0] for document in documents]
    assert together == pytest.approx(alone, rel=1e-4)
    assert (together > 0).all()


@pytest.mark.parametrize("task", ["text", "image_text", "vqa", "action_video"])
def test_ngrams_are_scored_on_exactly_what_the_model_predicts(task, pretrained, material):
    documents = pick(material.held_out[task], 5).documents
    texts = score_text(documents, pretrained, seed=0).texts
    scored = np.concatenate([text.tokens[text.scored] for text in texts])
    labels = [batch.label_BT for _, batch in batches(documents, pretrained)]
    expected = np.concatenate([label[label != NO_LABEL].numpy() for label in labels])
    assert sorted(scored) == sorted(expected)
    assert not any(text.scored[0] for text in texts)
    assert {text.document for text in texts} == set(range(len(documents)))


def test_flow_loss_is_over_target_images_alone(pretrained, material):
    items = pick(material.held_out["image_text"], 12)
    sums, tokens = score_flow(items.documents, pretrained, (0.5,), seed=0)
    tokens_per_image = pretrained.vision_tokenizer.image_shape.num_tokens
    targets = [sum(image.target for image in doc.images) for doc in items.documents]
    assert tokens.tolist() == [tokens_per_image * count for count in targets]
    assert (sums[0][tokens == 0] == 0).all()
    assert (sums[0][tokens > 0] > 0).all()


def test_flow_loss_depends_on_the_seed_and_on_nothing_else(pretrained, material):
    documents = pick(material.held_out["action_video"], 3).documents
    first, again, other = (score_flow(documents, pretrained, (0.3,), seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)
