"""Truth against the engine's own pixels: repaint or remove a thing, and see which pixels change."""

from dataclasses import replace

import numpy as np
import pytest

from chiasm.poses import Pose
from chiasm.worlds.engine import SCREEN_HEIGHT, Engine, Shot
from chiasm.worlds.maps import CEILINGS, FLOORS, UNITS_PER_METRE, WALLS, Map, generate_map
from chiasm.worlds.truth import cast, view_of
from chiasm.worlds.walks import draw_views


def other(name: str, names: dict[str, str]) -> str:
    """A different and differently coloured one."""
    order = list(names)
    return order[(order.index(name) + 3) % len(order)]


def repainted(world_map: Map, kind: str, names: dict[str, str]) -> Map:
    """The first room alone with another material."""
    first = world_map.rooms[0]
    first = replace(first, **{kind: other(getattr(first, kind), names)})
    return replace(world_map, rooms=(first, *world_map.rooms[1:]))


def shoot_all(maps: list[Map], poses: list[Pose]) -> list[list[Shot]]:
    shots = []
    with Engine(maps) as engine:
        for number in range(len(maps)):
            engine.open_map(number)
            shots.append(
                [
                    engine.shoot(
                        pose.x_metres * UNITS_PER_METRE,
                        pose.y_metres * UNITS_PER_METRE,
                        pose.yaw_degrees,
                    )
                    for pose in poses
                ]
            )
    return shots


@pytest.fixture(scope="module")
def world_map() -> Map:
    return generate_map(0, 12)


@pytest.fixture(scope="module")
def poses(world_map: Map) -> list[Pose]:
    return draw_views(world_map, 30, np.random.default_rng(0))


def test_the_engine_takes_the_pose_it_is_given(world_map: Map, poses: list[Pose]):
    (shots,) = shoot_all([world_map], poses)
    for pose, shot in zip(poses, shots, strict=True):
        assert shot.x == pytest.approx(pose.x_metres * UNITS_PER_METRE, abs=1.01)
        assert shot.y == pytest.approx(pose.y_metres * UNITS_PER_METRE, abs=1.01)
        off = (shot.yaw_degrees - pose.yaw_degrees + 180) % 360 - 180
        assert abs(off) < 0.02


@pytest.mark.slow
def test_rays_measure_the_pixels_of_walls_floors_and_ceilings(world_map: Map, poses: list[Pose]):
    bare = replace(world_map, things=())
    kinds = {"wall": WALLS, "floor": FLOORS, "ceiling": CEILINGS}
    painted = [repainted(bare, kind, names) for kind, names in kinds.items()]
    plain, *changed = shoot_all([bare, *painted], poses)
    shares = {kind: [] for kind in kinds}
    for number, shot in enumerate(plain):
        surfaces = cast(bare, shot.x, shot.y, shot.yaw_degrees)
        for kind, shots in zip(kinds, changed, strict=True):
            measured = (shots[number].square != shot.square).any(2).mean()
            told = getattr(surfaces, f"{kind}_A")[0]
            shares[kind].append(told)
            # Two textures agree in a few pixels by chance: the measure errs towards less.
            assert told - 0.05 < measured < told + 0.02, (kind, number)
    assert all(max(told) > 0.1 for told in shares.values()), "no view shows the repainted room"


def test_labels_mark_the_pixels_of_objects(world_map: Map, poses: list[Pose]):
    # The first is left out of the second map; then its pixels differ and no others.
    without = replace(world_map, things=world_map.things[1:])
    full, fewer = shoot_all([world_map, without], poses)
    gone, num_seen = world_map.things[0], 0
    for shot, bare in zip(full, fewer, strict=True):
        differs = (shot.square != bare.square).any(2)
        marks = [label.mask for label in shot.labels if (label.x, label.y) == (gone.x, gone.y)]
        mask = marks[0] if marks else np.zeros_like(differs)
        assert not (differs & ~mask).any()
        assert (differs & mask).sum() >= 0.7 * mask.sum()
        num_seen += bool(mask.mean() > 0.01)
    assert num_seen >= 1


def test_a_view_tells_side_distance_and_box(world_map: Map, poses: list[Pose]):
    (shots,) = shoot_all([world_map], poses)
    num_objects = 0
    for pose, shot in zip(poses, shots, strict=True):
        surfaces = cast(world_map, shot.x, shot.y, shot.yaw_degrees)
        view = view_of(world_map, pose, surfaces, shot.labels)
        assert [seen.box[0] for seen in view.objects] == sorted(
            seen.box[0] for seen in view.objects
        )
        for seen in view.objects:
            num_objects += 1
            left, top, right, bottom = seen.box
            assert 0 <= left < right <= 1
            assert 0 <= top < bottom <= 1
            middle = (left + right) / 2
            assert seen.side == (
                "left" if middle < 1 / 3 else "right" if middle > 2 / 3 else "middle"
            )
            assert seen.near == (seen.distance_metres < 3.0)
            assert any(
                np.hypot(thing.x - shot.x, thing.y - shot.y) / UNITS_PER_METRE
                == pytest.approx(seen.distance_metres, abs=0.1)
                for thing in world_map.things
                if thing.kind.name == seen.name
            )
    assert num_objects >= 5


def test_what_hardly_shows_is_faint_and_not_seen(world_map: Map, poses: list[Pose]):
    (shots,) = shoot_all([world_map], poses)
    smallest = 60 / 64**2 * SCREEN_HEIGHT**2
    for pose, shot in zip(poses, shots, strict=True):
        surfaces = cast(world_map, shot.x, shot.y, shot.yaw_degrees)
        view = view_of(world_map, pose, surfaces, shot.labels)
        tiny = {label.name for label in shot.labels if 0 < label.mask.sum() < smallest}
        assert tiny <= set(view.faint)
        visible = sum(bool(label.mask.any()) for label in shot.labels)
        assert len(view.objects) <= visible
        assert bool(view.objects or view.faint) == bool(visible)
