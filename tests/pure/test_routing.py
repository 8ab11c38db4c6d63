"""The shape of a road engine's answer."""

from __future__ import annotations

import pytest

from tracking_server.routing.valhalla import decode_shape


def test_a_shape_is_decoded() -> None:
    """The example that the polyline algorithm is published with, which has one decimal fewer."""
    places = decode_shape("_p~iF~ps|U_ulLnnqC_mqNvxq`@")
    assert places == [pytest.approx(at) for at in ((-12.02, 3.85), (-12.095, 4.07), (-12.6453, 4.3252))]
    assert decode_shape("") == []
