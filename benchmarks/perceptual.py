"""What measures of likeness make of distortions that leave equal PSNR, and of a blurred mean.

    python benchmarks/perceptual.py [maps=12] [poses=8] [seed=0]

Views are those of held-out maps. Each is moved by a pixel, and every other distortion is as strong
as leaves it the same PSNR. Then the camera turns by 4, 8 and 12 degrees to both sides: each of
these views is held against the one between them, and so is their mean.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageFilter
from record import write_record

from chiasm.documents import Split
from chiasm.evaluation.perceptual import Appearance
from chiasm.evaluation.pictures import psnr, ssim
from chiasm.poses import Pose
from chiasm.worlds.camera import WorldCamera
from chiasm.worlds.instructions.ground import Ground
from chiasm.worlds.maps import generate_map
from chiasm.worlds.settings import WorldSettings, map_seed

TURNS_DEGREES = (-12, -8, -4, 4, 8, 12)
HALVINGS = 12


def views(maps: int, poses: int, rng: np.random.Generator) -> np.ndarray:
    """Views straight ahead and turned: uint8 [N, 1 + turns, H, W, 3]."""
    world, taken = WorldSettings(), []
    with WorldCamera(world, Split.HELD_OUT) as camera:
        for number in range(maps):
            place = map_seed(Split.HELD_OUT, number)
            ground = Ground(generate_map(world.seed, place))
            for pose in (ground.draw_pose(rng) for _ in range(poses)):
                x, y, yaw = pose.x_metres, pose.y_metres, pose.yaw_degrees
                there = [Pose(x, y, (yaw + turn) % 360) for turn in (0, *TURNS_DEGREES)]
                taken.append(np.stack(camera.look(place, there)))
    return np.stack(taken)


def moved(picture: np.ndarray) -> np.ndarray:
    """The picture one pixel to the right."""
    return np.pad(picture, ((0, 0), (1, 0), (0, 0)), "edge")[:, :-1]


def brighter(picture: np.ndarray, strength: float) -> np.ndarray:
    return picture + 128 * strength


def duller(picture: np.ndarray, strength: float) -> np.ndarray:
    return picture + strength * (picture.mean() - picture)


def noisy(picture: np.ndarray, strength: float) -> np.ndarray:
    return picture + 128 * strength * np.random.default_rng(0).standard_normal(picture.shape)


def blurred(picture: np.ndarray, strength: float) -> np.ndarray:
    blur = ImageFilter.GaussianBlur(8 * strength)
    return np.asarray(PillowImage.fromarray(picture).filter(blur))


def at_psnr(
    distort: Callable[[np.ndarray, float], np.ndarray], picture: np.ndarray, wanted: float
) -> np.ndarray:
    """The picture, as distorted as leaves it that PSNR."""
    low, high, found = 0.0, 1.0, picture
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        found = distort(picture, middle).round().clip(0, 255).astype(np.uint8)
        is_weak = psnr(found[None], picture[None])[0] > wanted
        low, high = (middle, high) if is_weak else (low, middle)
    return found


def measured(pictures: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Means over pictures."""
    perceptual = Appearance(pictures).distance(Appearance(truth))
    values = {"psnr": psnr(pictures, truth), "ssim": ssim(pictures, truth)}
    values["perceptual_distance"] = perceptual
    return {name: round(float(each.mean()), 3) for name, each in values.items()}


def main() -> None:
    given = {"maps": "12", "poses": "8", "seed": "0"}
    given |= dict(word.split("=") for word in sys.argv[1:])
    rng = np.random.default_rng(int(given["seed"]))
    taken = views(int(given["maps"]), int(given["poses"]), rng)
    truth, turned = taken[:, 0], taken[:, 1:]
    distorted = {"moved": np.stack([moved(each) for each in truth])}
    wanted = psnr(distorted["moved"], truth)
    for distort in (brighter, duller, noisy, blurred):
        pairs = zip(truth, wanted, strict=True)
        distorted[distort.__name__] = np.stack([at_psnr(distort, *pair) for pair in pairs])
    aside = {f"turned by {each}": turned[:, n] for n, each in enumerate(TURNS_DEGREES)}
    aside["their mean"] = turned.mean(1).round().astype(np.uint8)
    figures = {
        "settings": given,
        "views": len(truth),
        "equal_psnr": {name: measured(each, truth) for name, each in distorted.items()},
        "turned": {name: measured(each, truth) for name, each in aside.items()},
    }
    write_record("perceptual", figures)


if __name__ == "__main__":
    main()
