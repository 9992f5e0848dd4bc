import numpy as np
import torch

from chiasm.documents import Continuous
from chiasm.inference.history import History
from chiasm.inference.passage import prompt_passage
from chiasm.inference.states import states


def items(count: int) -> list[Continuous]:
    numbers = np.random.default_rng(0).normal(size=(count, 6)).tolist()
    return [Continuous(each, target=False, stream="series") for each in numbers]


def test_the_last_block_s_state_is_what_the_next_token_is_predicted_from(build):
    pretrained = build(series=True)
    own = items(3)
    passages = [
        prompt_passage((each,), pretrained.text_tokenizer, pretrained.tokenizers) for each in own
    ]
    latents = pretrained.tokenizers.encode_spans(own, pretrained.device)
    history = History(pretrained.decoder, 3, len(passages[0]))
    read_BD = history.read(range(3), passages, latents)
    found_NF = torch.from_numpy(states(pretrained, own))
    width = read_BD.shape[1]
    assert found_NF.shape == (3, len(pretrained.decoder.blocks) * width)
    modality_BT = torch.ones(3, 1, dtype=torch.int64)
    last_BD = pretrained.decoder.final_norm(found_NF[:, None, -width:], modality_BT)[:, 0]
    torch.testing.assert_close(last_BD, read_BD)


def test_states_are_of_each_item_alone_and_leave_the_model_as_it_was(build):
    pretrained = build(series=True)
    own = items(70)  # more than are read at once
    together = states(pretrained, own)
    np.testing.assert_allclose(states(pretrained, own[69:])[0], together[69], atol=1e-4)
    assert np.abs(together[0] - together[1]).max() > 1e-2
    assert not any(block._forward_hooks for block in pretrained.decoder.blocks)
