"""Views imagined one after another, each after an action.

A rollout is one document: context views with the actions between them, then action and imagined
view in turn. Training documents have a limited number of views, and rows a limited number of
positions; where a document is full, its oldest view leaves it. The others are read anew, in a
document that begins with them, or (``SamplingSettings.kept_window``) stay in the cache.

Shape suffixes: S steps of a rollout, H and W height and width of a view in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.batch.streams import IMAGE
from chiasm.data.encoding import FRAME_TOKENS
from chiasm.documents import Image, Text
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Generating, Sampler


@dataclass(frozen=True, eq=False)
class Context:
    """The views and actions so far.

    Args:
        views: at least one, uint8 [H, W, 3], oldest first.
        actions: the texts between them, one fewer.
        num_imagined: how many of the last views the model made.
    """

    views: tuple[np.ndarray, ...]
    actions: tuple[str, ...] = ()
    num_imagined: int = 0

    def __post_init__(self) -> None:
        if not self.views or len(self.actions) != len(self.views) - 1:
            raise ValueError(
                f"{len(self.views)} views have {len(self.actions)} actions between them; give "
                "one view or more, and one action fewer"
            )

    def after(self, actions: Sequence[str], views: Sequence[np.ndarray], most: int) -> Context:
        """Returns the context with imagined steps behind it; the last ``most`` views are kept."""
        all_views, all_actions = (*self.views, *views), (*self.actions, *actions)
        kept = all_views[-most:]
        between = all_actions[len(all_actions) - len(kept) + 1 :]
        return Context(kept, between, min(len(kept), self.num_imagined + len(views)))

    @property
    def spans(self) -> tuple[Text | Image, ...]:
        """Beginning of a document as in training: the first view is context, later ones targets."""
        spans: list[Text | Image] = [Image(self.views[0], target=False)]
        for action, view in zip(self.actions, self.views[1:], strict=True):
            spans += [Text(action), Image(view, target=True)]
        return tuple(spans)


def one_each(seed: int | Sequence[int], count: int) -> list[int]:
    """Returns one seed per rollout: a single seed is repeated."""
    return [seed] * count if isinstance(seed, int) else list(seed)


class Rollouts:
    """Imagines rollouts with a model.

    Args:
        sampler: with the model.
        settings: of the sampler.
        context_views: most views that a document begins with.
        document_views: most views of a document, context included: as many as in training.
        one_document: whether no view may leave, also where the model's rows are too short.

    Raises:
        UserError: no step fits behind the context.
    """

    def __init__(
        self,
        sampler: Generating,
        settings: SamplingSettings,
        *,
        context_views: int = 1,
        document_views: int = 2,
        one_document: bool = False,
    ) -> None:
        if not 1 <= context_views < document_views:
            raise UserError(
                f"context_views = {context_views} of document_views = {document_views} leave no "
                "room for an imagined view; give fewer context views, or longer documents"
            )
        self._sampler, self._settings = sampler, settings
        self._context_views, self._document_views = context_views, document_views
        self._one_document = one_document

    @classmethod
    def of(cls, pretrained: Pretrained, settings: SamplingSettings) -> Rollouts:
        """Returns rollouts in documents as long as the model's training documents.

        Raises:
            UserError: the model was trained without actions, or the settings are not for it.
        """
        views, sampler = pretrained.walks.views, Sampler(pretrained)
        if not views:
            raise UserError(
                "this model was trained without actions: it cannot tell what they lead to. Train "
                "with a source of task action_video or instructions"
            )
        sampler.refuse(settings)
        return cls(sampler, settings, context_views=views - 1, document_views=views)

    @classmethod
    def instructed(cls, pretrained: Pretrained, settings: SamplingSettings, steps: int) -> Rollouts:
        """Returns rollouts for instructions of ``steps`` steps at most, in documents as
        trained on.
        """
        views = pretrained.walks.instruction_views or steps + 1
        return cls(
            Sampler(pretrained),
            settings,
            context_views=views - 1,
            document_views=views,
            one_document=pretrained.walks.instruction_views is None,
        )

    def imagine(
        self,
        contexts: Sequence[Context],
        actions: Sequence[Sequence[str]],
        *,
        seed: int | Sequence[int] = 0,
    ) -> list[np.ndarray]:
        """Returns the view after each action.

        Args:
            contexts: where each rollout begins; rollouts with equal beginnings should share one
                object, which is then read once for all of them.
            actions: of each rollout, at least one; rollouts may differ in length.
            seed: noise seed. The noise depends on seed and step alone: rollouts of one seed differ
                in contexts and actions, not in noise; give each a seed of its own for independent
                noise.

        Returns:
            for each rollout its views, uint8 [S, H, W, 3].

        Raises:
            UserError: an action is missing, or a document does not fit the model's context.
        """
        for number, own in enumerate(actions):
            if not own:
                raise UserError(f"rollout {number} has no actions; give one or more")
        views: list[list[np.ndarray]] = [[] for _ in contexts]
        most = self._most_views(contexts, actions)
        begin = min(self._context_views, most - 1)
        now = _trimmed(contexts, begin)
        seeds = one_each(seed, len(contexts))
        step = 0
        while unfinished := [n for n, own in enumerate(actions) if len(views[n]) < len(own)]:
            # As many steps as a document has room for, unless views leave it: the next round
            # begins a new one.
            chunks = [tuple(actions[n][len(views[n]) :]) for n in unfinished]
            if not self._settings.kept_window:
                rooms = [most - len(now[n].views) for n in unfinished]
                chunks = [chunk[:room] for chunk, room in zip(chunks, rooms, strict=True)]
            noise_seeds = [seeds[n] + step for n in unfinished]
            new = self._draw([now[n] for n in unfinished], chunks, noise_seeds, most)
            step += 1
            for n, chunk, drawn in zip(unfinished, chunks, new, strict=True):
                views[n] += drawn
                now[n] = now[n].after(chunk, drawn, begin)
        return [np.stack(own) for own in views]

    def ends(
        self,
        contexts: Sequence[Context],
        actions: Sequence[Sequence[str]],
        *,
        seed: int | Sequence[int] = 0,
    ) -> np.ndarray:
        """Returns the view after each rollout's last action: uint8 [N, H, W, 3].

        Raises:
            UserError: as :meth:`imagine`.
        """
        return np.stack([views[-1] for views in self.imagine(contexts, actions, seed=seed)])

    def _most_views(self, contexts: Sequence[Context], actions: Sequence[Sequence[str]]) -> int:
        """Returns the most views of a document, so that the model's rows hold it with the longest
        action between any two; two at least, for which the sampler refuses rows that are too short.
        """
        if self._one_document:
            return self._document_views
        pretrained = self._sampler.pretrained
        streams, encode = pretrained.decoder.shapes, pretrained.text_tokenizer.encode_array
        texts = {text for own in (*actions, *(each.actions for each in contexts)) for text in own}
        text = max(len(encode(each)) for each in texts)
        shapes = [streams.reading(IMAGE, target=target) for target in (False, True)]
        view = max(shape.num_tokens for shape in shapes) + FRAME_TOKENS
        fitting = (pretrained.context_positions - 1 + text) // (view + text)
        return max(2, min(self._document_views, fitting))

    def _draw(
        self,
        contexts: Sequence[Context],
        scripts: Sequence[tuple[str, ...]],
        seeds: Sequence[int],
        most_views: int,
    ) -> list[list[np.ndarray]]:
        """Returns the views of each script; scripts of one length run as one batch."""
        window = most_views if self._settings.kept_window else None
        # One tuple per context object: the sampler reads requests that share it once.
        spans = {id(each): each.spans for each in contexts}
        drawn: list[list[np.ndarray]] = [[] for _ in scripts]
        for length in sorted(set(map(len, scripts))):
            numbers = [n for n, script in enumerate(scripts) if len(script) == length]
            requests = [
                Request(
                    spans[id(contexts[n])],
                    seeds[n],
                    script=scripts[n],
                    imagined=contexts[n].num_imagined == len(contexts[n].views),
                    window=window,
                )
                for n in numbers
            ]
            limits = self._settings.model_copy(update={"max_items": length, "max_tokens": 0})
            for n, result in zip(numbers, self._sampler.generate(requests, limits), strict=True):
                drawn[n] = [span.pixels() for span in result if isinstance(span, Image)]
        return drawn


def _trimmed(contexts: Sequence[Context], most: int) -> list[Context]:
    """Returns the last views of each context; an object that is shared stays shared."""
    kept = {id(each): each.after((), (), most) for each in contexts}
    return [kept[id(each)] for each in contexts]
