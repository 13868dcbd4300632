"""The images with everything that is drawn over them: two linked views, or one of both channels."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6 import QtCore, QtGui, QtWidgets

from dashboard.models.colours import THEMES, Theme
from dashboard.models.display import Contrast, Display
from dashboard.models.scene import Scene
from dashboard.models.tails import tail_frames
from dashboard.views.canvas import Canvas
from dashboard.views.marks import looks, sheet
from dashboard.views.pane import Pane, Range
from dashboard.views.picture import Plate
from dashboard.views.pointer import NAMES, Pointer
from dashboard.views.region import Region, Vertices
from dashboard.views.remarks import Shown, remarks
from dashboard.views.scale_bar import behind, stamp
from dashboard.views.shading import Shader
from dashboard.views.tails import Lines
from dashboard.views.view import View
from stream import wire
from stream.results import NO_TRACK

CLOSE_UP_PX = 48.0  # camera pixels around a punctum that is centred on
NOWHERE: NDArray[np.intp] = np.empty(0, np.intp)


class ImagePanel(QtWidgets.QWidget):
    """Images, puncta, tails and writing.

    Signals
    -------
    track_clicked(track_id, add)
        A punctum was clicked; `add` with Ctrl.
    place_clicked(x_px, y_px)
        A place without a punctum was clicked, in pixels of channel 1.
    region_changed(vertices)
        The rectangle's corners (4, 2) in pixels of channel 1, or None when there is none any more.
    hovered(text)
        What is under the mouse, in a line; empty when the mouse is elsewhere.

    Attributes
    ----------
    scene
        What is drawn, None before the first result of a run.
    """

    track_clicked = QtCore.Signal(int, bool)
    place_clicked = QtCore.Signal(float, float)
    region_changed = QtCore.Signal(object)
    hovered = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        sprites = sheet()
        self.views = (View(sprites), View(sprites))
        self.canvas = Canvas([view.pane for view in self.views], self)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.canvas)
        self._display = Display()
        self._session: wire.Session | None = None
        self.scene: Scene | None = None
        self._newest_s: float | None = None
        self._picture: NDArray[np.uint16] | None = None
        self._plates: tuple[tuple[Plate, ...], tuple[Plate, ...]] = ((), ())
        self._fresh = False
        self._refused = ""
        self._lines = Lines()
        self._linking = False
        self._shader = Shader()
        self._region = Region(self.views[0].pane, self._region_moved)
        self._pointer = Pointer(self.canvas, self.views, self)
        self._pointer.track_clicked.connect(self.track_clicked)
        self._pointer.place_clicked.connect(self.place_clicked)
        self._pointer.hovered.connect(self.hovered)
        self._pointer.moved.connect(self._draw_marks)
        for view in self.views:
            view.pane.looked.connect(self._looked)
        self.apply(self._display)

    def begin(self, session: wire.Session) -> None:
        """Show another run; what was drawn of the last one is taken away."""
        self._session = session
        self.scene, self._picture, self._refused, self._fresh = None, None, "", False
        self._plates, self._lines = ((), ()), Lines()
        self._shader.forget()
        self._region.hide()
        _, height, width = session.shape
        for view in self.views:
            view.pane.begin(width, height)
        self._pointer.pixel_nm = session.pixel_size_nm
        self._pointer.leave()
        self.apply(self._display)

    def apply(self, display: Display) -> None:
        """Take other settings."""
        if display.contrast != self._display.contrast:
            self._shader.forget()
        self._display = display
        self.apply_theme(THEMES[display.theme])
        n_channels = 1 if self._session is None else self._session.shape[0]
        self.canvas.show_panes(n_channels if display.layout == "side-by-side" else 1)
        self.views[1].from_channel_1 = QtGui.QTransform() if display.shift else self._to_calcium
        for view in self.views:
            view.pane.flip(display.flip_x, display.flip_y)
        self.views[1].pane.look_like(self.views[0].pane)
        self._shade()
        self._region_outlined()
        self._draw()

    def apply_theme(self, theme: Theme) -> None:
        """Colours of what lies behind the images."""
        self.canvas.setBackground(theme.background)
        self._pointer.label.apply_theme(theme)

    def show_scene(self, scene: Scene, newest_s: float | None = None) -> None:
        """Draw a moment.

        Parameters
        ----------
        scene
            What is drawn; without a picture the last one stays, greyed.
        newest_s
            Time of the run's newest frame, to say how far back the view looks.
        """
        if self._session is None:
            return
        tails_are_new = self.scene is None or scene.tails is not self.scene.tails
        self.scene, self._newest_s = scene, newest_s
        if tails_are_new:
            self._lines = Lines(scene.tails)
        picture, self._refused = scene.picture, ""
        if picture is not None and picture.shape != self._session.shape:
            self._refused = "a picture of another size came: " + " × ".join(str(n) for n in picture.shape)
            picture = None
        self._fresh = picture is not None
        if picture is not None and picture is not self._picture:
            self._picture = picture
            self._shade()
        self._draw()

    @property
    def contrast(self) -> tuple[Contrast, Contrast]:
        """Contrast in force: where it is automatic, with the levels of the picture."""
        return self._shader.contrast

    def tell_more(self, more: Callable[[int], str]) -> None:
        """What else is known of a track (its diffusion coefficient), a line for the label at the mouse."""
        self._pointer.more = more

    def centre_on(self, x_px: float, y_px: float) -> None:
        """Look at a pixel of channel 1 from near enough to see a punctum well."""
        pane = self.views[0].pane
        seen = pane.viewRect()
        side = min(CLOSE_UP_PX, seen.width(), seen.height())
        pane.setRange(QtCore.QRectF(x_px - side / 2, y_px - side / 2, side, side), padding=0)

    def reset_view(self) -> None:
        """Show the whole image."""
        self.views[0].pane.show_all()

    def visible_range(self) -> Range:
        """First and last x, first and last y seen in the first view, pixels."""
        return self.views[0].pane.visible_range()

    @property
    def region(self) -> bool:
        """Whether the rectangle is there."""
        return self._region.vertices is not None

    @region.setter
    def region(self, on: bool) -> None:
        if on and self._session is not None:
            self._region.show()
        else:
            self._region.hide()

    def move_region(self, x_px: float, y_px: float, width: float, height: float) -> None:
        """Put the rectangle somewhere: its first corner and its size, pixels of channel 1."""
        self._region.move(x_px, y_px, width, height)

    def grab_images(self) -> list[QtGui.QImage]:
        """The views as they are painted, one or two."""
        whole = self.canvas.grab().toImage()
        sharpness = whole.devicePixelRatio()
        magnified = QtGui.QTransform.fromScale(sharpness, sharpness)
        shown = self.views[: self.canvas.n_shown]
        return [whole.copy(magnified.mapRect(view.pane.geometry()).toRect()) for view in shown]

    @property
    def _to_calcium(self) -> QtGui.QTransform:
        """From pixels of channel 1 to those of channel 2."""
        if self._session is None or self._session.transform is None or self._session.shape[0] == 1:
            return QtGui.QTransform()
        (a, b, x), (c, d, y) = self._session.transform
        return QtGui.QTransform(a, c, b, d, x, y)

    def _shade(self) -> None:
        if self._picture is None or self._session is None:
            return
        back, _ = self._to_calcium.inverted()
        shifted = back if self._display.shift else QtGui.QTransform()
        self._plates = self._shader.plates(self._picture, self._display, self._session.bit_depth, shifted)

    def _draw(self) -> None:
        lines = Lines() if self._display.tails == "off" else self._lines
        for view, plates in zip(self.views, self._plates, strict=True):
            view.picture.show_plates(plates, greyed=not self._fresh)
            view.show_tails(lines)
        self._draw_marks()
        self._write()

    def _draw_marks(self) -> None:
        shown = self.views[: self.canvas.n_shown]
        marks = self.scene.marks if self.scene is not None and self._display.puncta else None
        pointer = self._pointer
        pointer.marks, pointer.picture, pointer.to_calcium = marks, self._picture, self._to_calcium
        if self.scene is None or marks is None:
            for view in self.views:
                view.marks.show_marks(np.empty((0, 2)), NOWHERE, NOWHERE)
                view.labels.show_ids(NOWHERE, NOWHERE)
            pointer.tell(None)
            return
        look = looks(marks)
        is_selected = np.isin(marks.track_id, np.array(self.scene.selected, np.int64))
        labelled = selected = np.flatnonzero(is_selected)
        if self._display.ids:
            others = np.flatnonzero(~is_selected & (marks.track_id != NO_TRACK))
            labelled = np.concatenate((selected, others))
        for view in shown:
            view.show_marks(marks, look, selected)
            view.labels.show_ids(labelled, marks.track_id[labelled])
        row = pointer.row()
        for view in shown:
            view.show_spread(marks, row)
        pointer.tell(row)

    def _write(self) -> None:
        n_shown, session = self.canvas.n_shown, self._session
        both = session is not None and n_shown < session.shape[0]
        for i, view in enumerate(self.views[:n_shown]):
            title = "no run" if session is None else "PIEZO1 magenta, calcium green" if both else NAMES[i]
            scaled = session is not None and self._display.scale_bar and i == n_shown - 1
            view.captions.write(
                title,
                self._stamp() if i == 0 else "",
                remarks(self._shown(i, both)) if session is not None else (),
                session.pixel_size_nm / 1000 if session is not None and scaled else None,
            )

    def _stamp(self) -> str:
        scene = self.scene
        if scene is None or not self._display.time_stamp:
            return ""
        text = stamp(scene.seq, scene.time_s, scene.picture_seq if self._fresh else None)
        # A moment that is held was the newest one when it was composed.
        is_newest = scene.is_newest and self._newest_s in (None, scene.time_s)
        return text if is_newest else f"{text}   {behind(scene.time_s, self._newest_s)}"

    def _shown(self, i: int, both: bool) -> Shown:
        view, has_calcium = self.views[i], i == 1 or both
        saturated = self._shader.n_saturated
        return Shown(
            has_picture=self._picture is not None,
            is_fresh=self._fresh,
            refused=self._refused if i == 0 else "",
            unshifted=has_calcium and not self._display.shift and not self._to_calcium.isIdentity(),
            n_saturated=sum(saturated) if both else saturated[i] if self._picture is not None else 0,
            n_dots=view.marks.n_dots(),
            tail_frames=self._tail_frames() if i == 0 else None,
            n_ids_left_out=view.labels.n_left_out,
        )

    def _tail_frames(self) -> int | None:
        """Length of the tails where a crowd has made them shorter than is wanted."""
        if self.scene is None or self._display.tails == "off":
            return None
        n_tracks = int((self.scene.marks.track_id != NO_TRACK).sum())
        frames = tail_frames(self._display.tail_frames, n_tracks)
        return frames if frames < self._display.tail_frames else None

    def _looked(self, pane: Pane) -> None:
        if self._linking:
            return
        self._linking = True
        try:
            for view in self.views:
                if view.pane is not pane:
                    view.pane.look_like(pane)
        finally:
            self._linking = False
        self._draw()

    def _region_moved(self, vertices: Vertices | None) -> None:
        self._region_outlined()
        self.region_changed.emit(vertices)

    def _region_outlined(self) -> None:
        """Draw the rectangle in the second view too."""
        self.views[1].show_outline(self._region.vertices)
