"""Which pictures stand for the tiles that are wanted, while some are not there yet. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tech_app.core.map.mercator import Tile
from tech_app.core.map.picture import Picture

FARTHEST = 4  # zooms that a picture may be too coarse


def stand_ins(
    wanted: Sequence[Tile], here: Mapping[Tile, Picture | None], find: Callable[[Tile], Picture | None]
) -> dict[Tile, Picture]:
    """What to show: the wanted pictures, and in place of one that is missing a coarser one or the finer four."""
    shown = {tile: picture for tile in wanted if (picture := here.get(tile)) is not None}
    for tile in wanted:
        if tile in here:
            continue
        coarser = tile
        for _ in range(min(FARTHEST, tile.z)):
            coarser = coarser.parent
            if (picture := find(coarser)) is not None:
                shown[coarser] = picture
                break
        else:
            for finer in tile.children:
                if (picture := find(finer)) is not None:
                    shown[finer] = picture
    return shown
