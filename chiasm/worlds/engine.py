"""The ViZDoom engine as a camera: it renders any pose of a map, with labels of objects."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import vizdoom
from PIL import Image as PillowImage

from chiasm.worlds.maps import KINDS, Map
from chiasm.worlds.pwad import actor_name, archive
from chiasm.worlds.sounds import PERIOD_TICS

SCREEN_WIDTH, SCREEN_HEIGHT = 256, 192  # the centre square is cut out and scaled
FOCAL = 0.5 * SCREEN_WIDTH / SCREEN_HEIGHT
"""Focal length in sides of the square: the screen sees 90 degrees, the square 73.7."""
_OPENAL = """\
[general]
dither = false
output-limiter = false
hrtf = false
volume-adjust = 0
resampler = linear
stereo-mode = speakers
stereo-encoding = panpot
cf_level = 0
"""
"""Settings of the engine's library of sound, whatever the user's own are. Dither and limiter would
make what is heard at a pose depend on what was heard before."""
_FIRST_TIC = 13
"""When the first period begins, of the tics that an episode counts; so in every map."""
_KIND_NAMES = {actor_name(kind): kind.name for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Label:
    """One object in the engine's image: its position, and its mask on the centre square."""

    name: str
    x: float  # map units
    y: float
    mask: np.ndarray  # bool [SCREEN_HEIGHT, SCREEN_HEIGHT]


@dataclass(frozen=True, slots=True)
class Shot:
    """The engine's image at the pose that it really took (position in map units)."""

    x: float
    y: float
    yaw_degrees: float
    square: np.ndarray  # uint8 [SCREEN_HEIGHT, SCREEN_HEIGHT, 3]
    labels: tuple[Label, ...]


class Game:
    """A running engine; a context manager, since it is a process of its own.

    Args:
        buttons: the controls of a step.
        wad: an archive of maps; without one, the engine's own.
        sounds: whether it renders sounds.
    """

    def __init__(
        self,
        buttons: Sequence[vizdoom.Button],
        wad: bytes | None = None,
        *,
        sounds: bool = False,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="chiasm-engine-")
        self._game = _configured_game(sounds)
        self._game.set_available_buttons(list(buttons))
        if wad is not None:
            path = Path(self._folder.name) / "maps.wad"
            path.write_bytes(wad)
            self._game.set_doom_scenario_path(str(path))
        library = Path(self._folder.name) / "alsoft.conf"
        library.write_text(_OPENAL)
        # It makes a folder of its own wherever it is started, and fails if another engine is just
        # making it.
        with contextlib.chdir(self._folder.name), _environment(ALSOFT_CONF=str(library)):
            self._game.init()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._game.close()
        self._folder.cleanup()

    def open_map(self, map_number: int) -> None:
        """Enters map ``map_number`` of the archive (0 is MAP01) afresh."""
        self._game.set_doom_map(f"map{map_number + 1:02d}")
        self._game.set_seed(1)
        self._game.new_episode()
        for command in ("sv_cheats 1", "god", "notarget"):
            self._game.send_game_command(command)
        self._game.advance_action(12)  # the view settles

    @property
    def place(self) -> tuple[float, float, float]:
        """x and y in map units, and yaw in degrees."""
        x, y, yaw = (
            self._game.get_game_variable(variable)
            for variable in (
                vizdoom.GameVariable.POSITION_X,
                vizdoom.GameVariable.POSITION_Y,
                vizdoom.GameVariable.ANGLE,
            )
        )
        return x, y, yaw

    @property
    def square(self) -> np.ndarray:
        """The view: uint8 [SCREEN_HEIGHT, SCREEN_HEIGHT, 3], the centre of the screen."""
        return _centre(self._state.screen_buffer)

    @property
    def _state(self) -> vizdoom.GameState:
        state = self._game.get_state()
        assert state is not None
        return state


class Engine(Game):
    """A camera in an archive of up to 32 maps of the embedded world, with ears if they sound."""

    def __init__(self, maps: Sequence[Map], *, sounds: bool = False) -> None:
        wad = archive(maps, sounds=sounds)
        super().__init__([vizdoom.Button.TURN_LEFT_RIGHT_DELTA], wad, sounds=sounds)

    def shoot(self, x: float, y: float, yaw_degrees: float) -> Shot:
        """Returns image and labels at a pose; the engine truncates x and y to whole units."""
        self._game.send_game_command(f"warp {int(x)} {int(y)}")
        angle = self._game.get_game_variable(vizdoom.GameVariable.ANGLE)
        turn = (yaw_degrees - angle + 180.0) % 360.0 - 180.0
        self._game.set_action([-turn])
        self._game.advance_action(1, False)
        self._game.make_action([0.0])  # a warp drops the eye to the floor for one tic
        state = self._state
        assert state.labels is not None
        marks = _centre(state.labels_buffer)
        labels = tuple(
            Label(
                _KIND_NAMES[label.object_name],
                label.object_position_x,
                label.object_position_y,
                marks == label.value,
            )
            for label in state.labels
            if label.object_name in _KIND_NAMES
        )
        return Shot(*self.place, self.square, labels)

    def listen(self) -> np.ndarray:
        """Returns one period heard at the pose of the last shot: int16 [left and right, N].

        All sounds begin with the period, whenever one listens.
        """
        # What was out of reach before the shot begins with the next period: the one after counts.
        gone = (self._game.get_episode_time() - _FIRST_TIC) % PERIOD_TICS
        self._game.set_action([0.0])
        self._game.advance_action(2 * PERIOD_TICS - gone)
        heard = self._state.audio_buffer
        assert heard is not None
        return heard.T


def scaled(square: np.ndarray, image_pixels: int) -> np.ndarray:
    """Returns a square of the screen as uint8 [image_pixels, image_pixels, 3]."""
    picture = PillowImage.fromarray(np.ascontiguousarray(square))
    return np.asarray(picture.resize((image_pixels, image_pixels), PillowImage.Resampling.BOX))


def _centre(buffer: np.ndarray | None) -> np.ndarray:
    assert buffer is not None
    left = (SCREEN_WIDTH - SCREEN_HEIGHT) // 2
    return buffer[:, left : left + SCREEN_HEIGHT]


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Sets variables for processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _configured_game(sounds: bool) -> vizdoom.DoomGame:
    game = vizdoom.DoomGame()
    game.set_doom_config_path(os.devnull)
    game.set_doom_game_path(str(Path(vizdoom.__file__).with_name("freedoom2.wad")))
    game.set_doom_map("map01")
    game.set_mode(vizdoom.Mode.PLAYER)
    game.set_screen_resolution(vizdoom.ScreenResolution.RES_256X192)
    game.set_screen_format(vizdoom.ScreenFormat.RGB24)
    game.set_labels_buffer_enabled(True)
    game.set_window_visible(False)
    game.set_sound_enabled(sounds)
    if sounds:
        game.set_audio_buffer_enabled(True)
        game.set_audio_sampling_rate(vizdoom.SamplingRate.SR_22050)
        game.set_audio_buffer_size(PERIOD_TICS)
        game.add_game_args("+snd_efx 0")
    for hide in (
        game.set_render_hud,
        game.set_render_weapon,
        game.set_render_crosshair,
        game.set_render_messages,
        game.set_render_decals,
        game.set_render_particles,
        game.set_render_screen_flashes,
    ):
        hide(False)
    game.set_available_game_variables([])
    game.set_episode_timeout(0)
    game.add_game_args("+sv_nomonsters 1 -nomonsters +sv_cheats 1")
    return game
