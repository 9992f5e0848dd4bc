import pytest

from chiasm.errors import UserError
from chiasm.worlds.engine import Engine
from chiasm.worlds.silence import SOUNDING_ROOM, refuse_silence, refuse_silent


@pytest.mark.slow
def test_an_engine_that_renders_zeros_is_refused(openal: None):
    """Its sounds are turned off by its own setting, which leaves every buffer as without OpenAL."""
    with Engine([SOUNDING_ROOM], sounds=True) as engine:
        engine.open_map(0)
        refuse_silent(engine)
        engine._game.send_game_command("snd_sfxvolume 0")
        with pytest.raises(UserError, match=r"world\.sounds = true, .*libopenal1"):
            refuse_silent(engine)


@pytest.mark.slow
def test_an_engine_that_sounds_is_not(openal: None):
    refuse_silence()
