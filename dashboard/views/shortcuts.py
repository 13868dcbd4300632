"""The keys, in one table: what is bound and what the help says are the same."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shortcut:
    """Keys for one action.

    Attributes
    ----------
    keys
        Any of them, as Qt names them.
    action
        Name of what they do.
    words
        The same for the user.
    repeats
        Whether holding the key down does it again and again: only time may run.
    """

    keys: tuple[str, ...]
    action: str
    words: str
    repeats: bool = False


SHORTCUTS = (
    Shortcut(("Space",), "freeze", "hold this moment, or follow the run again"),
    Shortcut(("Left",), "back", "one frame back", repeats=True),
    Shortcut(("Right",), "forward", "one frame forward", repeats=True),
    Shortcut(("Shift+Left",), "back_1s", "one second back", repeats=True),
    Shortcut(("Shift+Right",), "forward_1s", "one second forward", repeats=True),
    Shortcut(("Home",), "follow", "follow the newest frame"),
    Shortcut(("L",), "layout", "side by side, or one composite image"),
    Shortcut(("P",), "puncta", "rings around the puncta"),
    Shortcut(("I",), "ids", "numbers of all tracks"),
    Shortcut(("T",), "tails", "tails of the tracks: off, by mobility, by age"),
    Shortcut(("C",), "contrast", "contrast of both channels automatic"),
    Shortcut(("B",), "shift", "calcium channel as registered, or as it was imaged"),
    Shortcut(("R",), "region", "rectangle with statistics"),
    Shortcut(("0",), "reset", "whole image"),
    Shortcut(("S",), "snapshot", "save what is shown"),
    Shortcut(("E",), "export", "save the list of events"),
    Shortcut(("A",), "annotate", "write a remark on this moment"),
    Shortcut(("D",), "theme", "dark or light"),
    Shortcut(("F11",), "fullscreen", "whole screen"),
    Shortcut(("Esc",), "clear", "select nothing"),
    Shortcut(("?", "F1"), "help", "this list"),
)
