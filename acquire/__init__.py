"""Where frames come from: frames, channel layouts and recorded files."""
