"""The source that a configuration names: a recording or the microscope."""

from threading import Event

from acquire.frame import Source, SourceError
from acquire.source import open_source
from stream.config import RunConfig


def open_configured(config: RunConfig, stop: Event | None = None) -> Source:
    """Open it; a microscope does not image yet, a data set to follow is waited for until `stop`.

    Raises
    ------
    SourceError
        If there is none or it cannot be used.
    """
    source, channels = config.source, config.channels
    if source.kind == "microscope":
        from acquire.micromanager.open import open_microscope

        return open_microscope(
            config.microscope,
            layout=channels.layout,
            swap=channels.swap,
            max_frames=source.max_frames,
            scene=config.microscope.scene,
        )
    if source.path is None:
        raise SourceError("no movie is given: name a file or folder, or set source.path")
    if source.follow:
        from acquire.ndtiff.follow import follow_source

        return follow_source(
            source.path,
            layout=channels.layout,
            swap=channels.swap,
            interval_ms=source.interval_ms,
            max_frames=source.max_frames,
            stop=stop,
        )
    return open_source(
        source.path,
        calcium_path=source.calcium_path,
        layout=channels.layout,
        swap=channels.swap,
        interval_ms=source.interval_ms,
        max_frames=source.max_frames,
    )
