"""The demo's technicians, as pictures."""

from __future__ import annotations

import io

from PIL import Image

from tracking_server.demo.portraits import portrait


def test_three_people_are_told_apart() -> None:
    """Three small pictures, each of somebody else, and always the same ones."""
    pictures = [portrait(number) for number in range(4)]
    assert len(set(pictures[:3])) == 3
    assert pictures[3] == pictures[0]
    for picture in pictures:
        image = Image.open(io.BytesIO(picture))
        assert (image.format, image.size) == ("WEBP", (256, 256))
        assert len(picture) < 20_000
        assert len(image.getcolors(maxcolors=70_000) or []) > 100, "it is not one flat colour"
