import pytest
from pydantic import ValidationError

from acquire.micromanager.config import MicroscopeConfig


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"mode": "single", "channel_group": "Channel"}, "channel_group is for mode channels"),
        ({"mode": "splitter", "channels": ("a", "b")}, "channels is for mode channels"),
        ({"mode": "single", "max_skew_ms": 3}, "max_skew_ms is for mode two-cameras"),
        ({"backend": "java", "folder": "C:/Micro-Manager"}, "folder is for backend python or sequence"),
        ({"attach": True}, "attach needs backend: java"),
        ({"mode": "channels"}, "needs channel_group and channels"),
        ({"scene": "movie.tif"}, "scene is for camera: demo only"),
        ({"camera": "demo", "backend": "java"}, "camera: demo runs in this program"),
    ],
)
def test_what_would_do_nothing_is_refused(entries, words):
    with pytest.raises(ValidationError, match=words):
        MicroscopeConfig(**entries)
