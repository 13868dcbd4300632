"""Opens any recorded movie as a `Recording`: Micro-Manager, OME, ImageJ, plain TIFF, NDTiff, or a folder."""

import re
from pathlib import Path

import numpy as np

from acquire.described import Described, read_imagej, read_shaped, resolution_nm
from acquire.folder import open_folder
from acquire.frame import SourceError
from acquire.mmstack import is_mmstack, open_mmstack
from acquire.ndtiff.replay import data_set_folder, open_ndtiff
from acquire.ome import OmeMovie, read_ome
from acquire.recording import Planes, Recording, lost_end, time_by_channel


def open_recording(path: Path) -> Recording:
    """Open a movie file, an NDTiff data set, or a folder of single images.

    Raises
    ------
    SourceError
        If it is missing, no TIFF, damaged, or not one movie of unsigned grayscale images.
    """
    try:
        is_folder = path.is_dir()
        data_set = data_set_folder(path)
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read {path}: {error}") from error
    if data_set is not None:
        return open_ndtiff(data_set, path)
    if is_folder:
        return open_folder(path)
    if is_mmstack(path):
        return open_mmstack(path)
    planes = Planes([path])
    try:
        first = planes.file(0).first
        description = str(first.description)
        if re.search(r"<(\w+:)?OME\s", description[:4096]):
            return _ome(path, planes, read_ome(description, path))
        if description.startswith("ImageJ="):
            return _described(path, planes, read_imagej(first, str(path)))
        shaped = read_shaped(first, str(path)) if description.startswith("{") else None
        if shaped is not None:
            return _described(path, planes, shaped)
        n_pages = planes.file(0).count()
        n_known = len(planes.file(0).chain.offsets) + 1 if n_pages is None else n_pages
        plain = Described("TIFF", "T", (n_known,), None, resolution_nm(first))
        return _described(path, planes, plain, length_known=n_pages is not None)
    except SourceError:
        planes.close()
        raise
    except Exception as error:  # tifffile raises anything on damaged bytes
        planes.close()
        raise SourceError(f"{path} is damaged: its metadata cannot be read") from error


def _described(path: Path, planes: Planes, described: Described, *, length_known: bool = True) -> Recording:
    pages = planes.file(0)
    n_found, n_promised = len(pages.chain.offsets), described.n_pages
    if n_found > n_promised:
        raise SourceError(
            f"{path} holds {n_found} pages, but its description promises {n_promised}; "
            "export it as one movie again"
        )
    numbers = np.arange(n_promised)
    lost = lost_end(pages.chain.broke_off, length_known=length_known)
    numbers[pages.expect(n_promised, contiguous=described.contiguous) :] = lost
    return Recording(
        name=path.stem,
        kind=described.kind,
        planes=planes,
        grid=time_by_channel(numbers.reshape(described.shape), described.axes, str(path)),
        bit_depth=pages.first.bitspersample,
        interval_s=described.interval_s,
        pixel_size_nm=described.pixel_size_nm,
        order_lost=pages.lost_description,
    )


def _ome(path: Path, planes: Planes, movie: OmeMovie) -> Recording:
    if len(movie.files) > 1:
        grid = time_by_channel(movie.planes, movie.axes, str(path))
        planes.close()
        planes = Planes([path.parent / name for name in movie.files])
    else:
        written = movie.planes[movie.planes >= 0]
        n_promised = int(written.max(initial=-1)) + 1
        pages = planes.file(0)
        movie.planes[movie.planes >= pages.expect(n_promised)] = lost_end(pages.chain.broke_off)
        grid = time_by_channel(movie.planes, movie.axes, str(path))
    return Recording(
        name=path.name.removesuffix(path.suffix).removesuffix(".ome"),
        kind="OME-TIFF" + (f" of {len(movie.files)} files" if len(movie.files) > 1 else ""),
        planes=planes,
        grid=grid,
        bit_depth=movie.bit_depth or planes.file(0).first.bitspersample,
        interval_s=movie.interval_s,
        pixel_size_nm=movie.pixel_size_nm,
    )
