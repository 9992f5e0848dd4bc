import struct

from chiasm.worlds.maps import KINDS, generate_map
from chiasm.worlds.pwad import actor_name, archive, textmap
from chiasm.worlds.sounds import VOICES


def lumps(data: bytes) -> dict[str, bytes]:
    magic, count, offset = struct.unpack("<4sii", data[:12])
    assert magic == b"PWAD"
    found = {}
    for number in range(count):
        entry = data[offset + 16 * number : offset + 16 * (number + 1)]
        start, size, name = struct.unpack("<ii8s", entry)
        found.setdefault(name.rstrip(b"\0").decode(), data[start : start + size])
    assert offset + 16 * count == len(data)
    return found


def test_an_archive_holds_each_map_as_three_lumps():
    maps = [generate_map(0, seed) for seed in range(3)]
    found = lumps(archive(maps))
    assert [name for name in found if name.startswith("MAP") and name != "MAPINFO"] == [
        "MAP01",
        "MAP02",
        "MAP03",
    ]
    assert found["MAP02"] == b""
    assert found["TEXTMAP"].decode() == textmap(maps[0])
    for kind in KINDS:
        assert actor_name(kind) in found["DECORATE"].decode()


def test_a_textmap_counts_its_parts():
    world_map = generate_map(0, 1)
    text = textmap(world_map)
    assert text.count("\nsector{") == len(world_map.areas)
    assert text.count("\nthing{") == len(world_map.things) + 1  # the player's start
    # Four walls a room, each opening splits one in two and adds itself; two jambs a passage.
    num_openings = 2 * len(world_map.doorways)
    walls = 4 * len(world_map.rooms) + 2 * num_openings + 2 * len(world_map.doorways)
    assert text.count("\nlinedef{") == walls
    assert text.count("twosided=true") == num_openings


def test_sounds_are_added_and_change_no_map():
    maps = [generate_map(0, seed) for seed in range(3)]
    mute, sounding = lumps(archive(maps)), lumps(archive(maps, sounds=True))
    added = set(sounding) - set(mute)
    assert added == {"SNDINFO", *(voice.lump for voice in VOICES)}
    assert {name for name in mute if mute[name] != sounding[name]} == {"DECORATE"}
    assert b"Sound" not in mute["DECORATE"]
    assert mute["DECORATE"].count(b" A -1") == len(KINDS)
    assert sounding["DECORATE"].count(b" A -1") == len(KINDS) - len(VOICES)
    for voice in VOICES:
        assert f'A_PlaySound("{voice.name}"'.encode() in sounding["DECORATE"]
