"""What is written on the images about what they show: never by colour alone."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shown:
    """What a view shows.

    Attributes
    ----------
    has_picture, is_fresh
        Whether there is any picture, and whether it belongs to this moment.
    refused
        Why a picture was not taken, empty where none was refused.
    unshifted
        Whether calcium is drawn as recorded although it could be moved onto channel 1.
    n_saturated
        Saturated pixels that are marked.
    n_dots
        Puncta that are drawn as dots, 0 where they have circles.
    tail_frames
        Length of the tails where they are shorter than is wanted.
    n_ids_left_out
        Ids that are not drawn because there are too many.
    """

    has_picture: bool
    is_fresh: bool
    refused: str = ""
    unshifted: bool = False
    n_saturated: int = 0
    n_dots: int = 0
    tail_frames: int | None = None
    n_ids_left_out: int = 0


def remarks(shown: Shown) -> tuple[str, ...]:
    """Sentences, the most important one first."""
    said = []
    if not shown.is_fresh:
        said.append("no picture of this frame: an earlier one" if shown.has_picture else "no picture")
    if shown.refused:
        said.append(shown.refused)
    if shown.unshifted:
        said.append("calcium as recorded, not shifted")
    if shown.n_saturated and shown.is_fresh:
        said.append(f"{shown.n_saturated:,} saturated pixel{'s' if shown.n_saturated > 1 else ''} (red)")
    if shown.n_dots:
        said.append(f"{shown.n_dots:,} puncta: drawn as dots")
    if shown.tail_frames is not None:
        said.append(f"crowded: tails of {shown.tail_frames} frames")
    if shown.n_ids_left_out:
        said.append(f"too many ids: {shown.n_ids_left_out:,} are not drawn")
    return tuple(said)
