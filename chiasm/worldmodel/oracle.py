"""The oracle: the engine behind a source renders what actions lead to.

It has the interface of :class:`~chiasm.worldmodel.rollout.Rollouts` and can replace a model
wherever one imagines views: the upper bound of any model of these places.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

import numpy as np

from chiasm.actions import ActionFormat
from chiasm.capabilities import Camera
from chiasm.documents import Image
from chiasm.inference.pictures import fitted
from chiasm.poses import Pose, compose
from chiasm.rgb import ImageShape
from chiasm.worldmodel.rollout import Context


@dataclass(frozen=True, eq=False, kw_only=True)
class PlacedContext(Context):
    """A context that records where its last view was taken."""

    place: int
    """Number of the place (a map), as the oracle's camera counts them."""
    pose: Pose


class Oracle(ExitStack):
    """Renders true views; a context manager, since it keeps an engine running.

    Args:
        camera: in the places that contexts come from.
        actions: format in which actions are read.
        shape: size of the views.
        stops_at_walls: a step that leads into a wall or an object ends before it. Otherwise all
            views from there on are black, so that a planner keeps away from paths that nothing
            else would stop.
    """

    def __init__(
        self,
        camera: AbstractContextManager[Camera],
        actions: ActionFormat,
        shape: ImageShape,
        *,
        stops_at_walls: bool = True,
    ) -> None:
        super().__init__()
        self._opened, self._actions, self._shape = camera, actions, shape
        self._stops_at_walls = stops_at_walls

    def __enter__(self) -> Oracle:
        self._camera = self.enter_context(self._opened)
        return self

    def imagine(
        self, contexts: Sequence[Context], actions: Sequence[Sequence[str]], *, seed: int = 0
    ) -> list[np.ndarray]:
        """Returns the true view after each action, a function of contexts and actions alone.

        Each pose is rendered once per call. What moves in the engine (water, flames) is caught in
        whatever state it is.

        Args:
            contexts: each a :class:`PlacedContext`.
            actions: of each rollout, poses or keys.
            seed: ignored; nothing is drawn at random.

        Returns:
            for each rollout its views, uint8 [S, H, W, 3].

        Raises:
            UserError: an action names no pose.
            ValueError: a context does not say where it is.
        """
        walks = [self.walk(*each) for each in zip(contexts, actions, strict=True)]
        return self._shown(contexts, walks)

    def ends(
        self, contexts: Sequence[Context], actions: Sequence[Sequence[str]], *, seed: int = 0
    ) -> np.ndarray:
        """Returns the true view after each rollout's last action: uint8 [N, H, W, 3].

        Raises:
            UserError, ValueError: as :meth:`imagine`.
        """
        ends = [self.walk(*each)[-1:] for each in zip(contexts, actions, strict=True)]
        return np.concatenate(self._shown(contexts, ends))

    def _shown(
        self, contexts: Sequence[Context], walks: Sequence[Sequence[Pose | None]]
    ) -> list[np.ndarray]:
        """Returns the views of each path, uint8 [S, H, W, 3]; black where the pose is None."""
        seeds = [context.place for context in contexts if isinstance(context, PlacedContext)]
        black = np.zeros((self._shape.height_pixels, self._shape.width_pixels, 3), np.uint8)
        views: dict[tuple[int, Pose | None], np.ndarray] = {(n, None): black for n in seeds}
        for number in sorted(set(seeds)):
            own = (p for s, walk in zip(seeds, walks, strict=True) if s == number for p in walk)
            poses = [pose for pose in dict.fromkeys(own) if pose is not None]
            shown = self.look(number, poses)
            views |= {(number, pose): view for pose, view in zip(poses, shown, strict=True)}
        return [
            np.stack([views[number, pose] for pose in walk])
            for number, walk in zip(seeds, walks, strict=True)
        ]

    def look(self, place: int, poses: Sequence[Pose]) -> list[np.ndarray]:
        """Returns the views at some poses of a place: uint8 [H, W, 3] each."""
        taken = self._camera.look(place, poses)
        return [fitted(Image(each, target=False), self._shape) for each in taken]

    def walk(self, context: Context, actions: Sequence[str]) -> list[Pose | None]:
        """Returns the pose after each action, where the camera can stand.

        A blocked step ends where it is stopped or, if ``stops_at_walls`` is false, has no pose: it
        and all later ones are None.

        Raises:
            UserError: an action names no pose.
            ValueError: the context does not say where it is.
        """
        if not isinstance(context, PlacedContext):
            raise ValueError("the oracle needs a PlacedContext: it has to know where it stands")
        poses: list[Pose | None] = []
        pose = context.pose
        for text in actions:
            goal = compose(pose, self._actions.read(text).step)
            pose = self._camera.stopped(context.place, pose, goal)
            if pose != goal and not self._stops_at_walls:
                return poses + [None] * (len(actions) - len(poses))
            poses.append(self._camera.settled(pose))
        return poses
