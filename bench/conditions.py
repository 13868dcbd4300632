"""Conditions of the localization benchmark: what each scene shows, and what the methods are told of it.

Pixel 110 nm, σ 135 nm, background 15 photons with a gradient and blobs, photon CV 0.25, unless a condition
says otherwise.
"""

from dataclasses import dataclass, replace
from typing import Literal

from model.camera import Camera

Motion = Literal["static", "diffusing", "unrelated", "blinking"]
TruePsf = Literal["gaussian", "airy", "elliptical", "halo"]

SCMOS = Camera(offset=100.0, e_per_adu=1.0, read_noise_e=1.4)
# e_per_adu and gain of the synthetic PIEZO1 recordings, read noise of a usual EMCCD.
EMCCD = Camera(offset=100.0, e_per_adu=3.6, read_noise_e=30.0, em_gain=100.0)

DIFFUSION_UM2_S, INTERVAL_S = 0.05, 0.05


@dataclass(frozen=True, slots=True)
class SceneConfig:
    """What the movies of a scene show; lengths in nm, light in photo-electrons.

    Attributes
    ----------
    density_um2
        Emitters per µm² that shine in a frame.
    photons, photon_cv
        Mean of the emitters' photons per frame, and their coefficient of variation between emitters.
    camera, told_camera
        The camera, and the one that the methods are told (None: the same).
    size, pixel_nm
        Side of the square frames in pixels, and the pixel.
    sigma_nm, sigma_factor, psf
        σ that the methods are told; the true one is `sigma_factor` times that, of a PSF of this kind
        (`bench.light`).
    background, structured
        Mean background per pixel; flat, or with a gradient and out-of-focus blobs.
    motion
        How emitters go on from frame to frame (`bench.motion`).
    isolated
        No two emitters of a movie begin nearer than 6 σ.
    fixed_pattern
        The chip has hot and warm pixels and uneven offset, gain and read noise; nobody is told.
    """

    density_um2: float = 0.5
    photons: float = 1000.0
    photon_cv: float = 0.25
    camera: Camera = SCMOS
    told_camera: Camera | None = None
    size: int = 128
    pixel_nm: float = 110.0
    sigma_nm: float = 135.0
    sigma_factor: float = 1.0
    psf: TruePsf = "gaussian"
    background: float = 15.0
    structured: bool = True
    motion: Motion = "static"
    isolated: bool = False
    fixed_pattern: bool = False

    @property
    def sigma_px(self) -> float:
        """σ in pixels that the methods are told."""
        return self.sigma_nm / self.pixel_nm

    @property
    def true_sigma_px(self) -> float:
        """True σ in pixels."""
        return self.sigma_px * self.sigma_factor


# Sizes give sparse scenes enough emitters to tell Jaccards .01 apart.
SIZES = {0.1: 256, 0.5: 128, 1: 96, 2: 96}
DENSITIES = tuple(SIZES)
PHOTONS = (300, 1000, 3000)
MOTIONS_ALONE: tuple[tuple[Motion, str], ...] = (("static", ""), ("diffusing", ", diffusing"))
ISOLATED = SceneConfig(0.1, structured=False, isolated=True, size=192)
REFERENCE = "sCMOS 0.5/µm² 1000 photons"
_REFERENCE = SceneConfig()


def _told(e_per_adu: float) -> SceneConfig:
    return replace(_REFERENCE, told_camera=replace(SCMOS, e_per_adu=e_per_adu))


CROWDED: dict[str, SceneConfig] = (
    {
        f"sCMOS {density:g}/µm² {photons} photons": SceneConfig(density, photons, size=SIZES[density])
        for photons in PHOTONS
        for density in DENSITIES
    }
    | {
        f"EMCCD {density:g}/µm² 1000 photons": SceneConfig(density, camera=EMCCD, size=SIZES[density])
        for density in (0.1, 0.5, 1)
    }
    | {
        f"diffusing {density:g}/µm² 1000 photons": SceneConfig(
            density, motion="diffusing", size=SIZES[density]
        )
        for density in (0.5, 1)
    }
    | {"unrelated frames 1/µm² 1000 photons": SceneConfig(1, motion="unrelated", size=SIZES[1])}
)
ALONE: dict[str, SceneConfig] = {
    f"isolated, flat background, {photons} photons{name}": replace(ISOLATED, photons=photons, motion=motion)
    for motion, name in MOTIONS_ALONE
    for photons in PHOTONS
}
PSF_ERRORS: dict[str, SceneConfig] = {
    "σ 0.7 × what is told": replace(_REFERENCE, sigma_factor=0.7),
    "σ 1.3 × what is told": replace(_REFERENCE, sigma_factor=1.3),
    "Airy PSF": replace(_REFERENCE, psf="airy"),
    "PSF 20 % elliptical": replace(_REFERENCE, psf="elliptical"),
    "PSF with a halo": replace(_REFERENCE, psf="halo"),
}
OTHER_ERRORS: dict[str, SceneConfig] = {
    "gain told 30 % too low": _told(0.7),
    "gain told 30 % too high": _told(1.3),
    "background 3 photons": replace(_REFERENCE, background=3.0),
    "background 30 photons": replace(_REFERENCE, background=30.0),
    "background 100 photons": replace(_REFERENCE, background=100.0),
    "blinking": replace(_REFERENCE, motion="blinking"),
    "hot pixels": replace(_REFERENCE, fixed_pattern=True),
}
CONDITIONS: dict[str, SceneConfig] = ALONE | CROWDED | PSF_ERRORS | OTHER_ERRORS
RECORDED = ("medium_108nm", "high_snr_108nm")

# Where three frames are held against one: emitters that are alone, that move, or that are gone in the next.
THREE_AGAINST_ONE = tuple(
    name
    for name, config in CONDITIONS.items()
    if config.isolated or config.motion in ("diffusing", "unrelated")
)
