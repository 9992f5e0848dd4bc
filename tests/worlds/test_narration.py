import re

import numpy as np

from chiasm.worlds.maps import Map, generate_map
from chiasm.worlds.narration import story


def check_story(text: str, world_map: Map) -> tuple[int, int]:
    """Follow the walker on the map; returns the numbers of moves and of returns."""
    rooms = {room.name: number for number, room in enumerate(world_map.rooms)}
    here, seen, moves, returns = -1, set(), 0, 0
    for sentence in re.split(r"(?<=[.])\s+", text.removeprefix("story: ")):
        start = re.search(r"(?:starts|wakes up) in the (\w+ room)", sentence)
        move = re.search(r" (east|north|west|south) (?:in)?to the (\w+ room)", sentence)
        if start:
            here = rooms[start[1]]
        elif move:
            assert world_map.exits[here][move[1]] == rooms[move[2]]
            here, moves = rooms[move[2]], moves + 1
            again = "back" in sentence or "returns" in sentence
            assert again == (here in seen)
            returns += again
        elif "remembers" in sentence:
            place = world_map.rooms[rooms[re.search(r"the (\w+ room)", sentence)[1]]]
            floor = re.search(r"with (\w+) on the floor", sentence)
            assert floor is None or floor[1] == place.floor
        else:
            room = world_map.rooms[here]
            for words in (r"(\w+) on the floor", r"(?:and|with) (\w+) above", r"(bright|dim)"):
                told = re.search(words, sentence)
                assert told is None or told[1] in (room.floor, room.ceiling, room.light)
            thing = re.search(r"there is a (.+) here|sees the (.+) again", sentence)
            if thing:
                name = thing[1] or thing[2]
                assert any(t.kind.name == name and t.room == here for t in world_map.things)
        seen.add(here)
    return moves, returns


def test_stories_agree_with_their_map():
    moves = returns = 0
    for seed in range(200):
        world_map = generate_map(0, seed)
        told = story(world_map, np.random.default_rng(seed))
        assert told.startswith("story: ")
        counts = check_story(told, world_map)
        moves, returns = moves + counts[0], returns + counts[1]
    assert moves >= 400
    assert returns >= 0.2 * moves  # places are seen again
