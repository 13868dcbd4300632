"""From puncta to tracks, frame by frame."""
