"""From pixels to puncta: optics, camera, localizers and engines."""
