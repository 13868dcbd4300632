"""Opens the microscope of a configuration, whichever way it images."""

from pathlib import Path

from acquire.frame import SourceError
from acquire.layout import Layout
from acquire.live import LiveSource
from acquire.micromanager.config import MicroscopeConfig
from acquire.micromanager.pairing import live_layout


def open_microscope(
    config: MicroscopeConfig,
    layout: Layout = "auto",
    swap: bool = False,
    max_frames: int | None = None,
    scene: Path | None = None,
) -> LiveSource:
    """Set the microscope up, ready to image; imaging begins with the first frame that is asked for.

    Parameters
    ----------
    config
        What to image with, and how.
    layout, swap
        How the channels lie ("auto" where the mode leaves no choice), and whether calcium comes first.
    max_frames
        Frames to image; None until stopped.
    scene
        Movie that the demo cameras show; None: their own pattern. `config.scene` goes before it.

    Raises
    ------
    SourceError
        If something is missing or does not fit; everything is released then.
    """
    live = live_layout(config.mode, layout, swap)
    scene = config.scene or scene
    if config.camera != "demo":
        scene = None
    if config.attach:
        from acquire.micromanager.attach import AttachedSource

        if max_frames is not None:
            raise SourceError("source.max_frames has no effect with attach: the acquisition decides it")
        return AttachedSource(config, live)
    if config.backend == "sequence":
        from acquire.micromanager.sequence import SequenceSource

        return SequenceSource(config, live, max_frames, scene)
    from acquire.micromanager.pycro import PycroSource

    if config.backend == "java":
        from acquire.micromanager.java import JavaBackend

        return PycroSource(JavaBackend(config), config, live, max_frames, scene)
    from acquire.micromanager.python_backend import PythonBackend

    return PycroSource(PythonBackend(config), config, live, max_frames, scene)
