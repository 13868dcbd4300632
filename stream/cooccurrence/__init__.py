"""Whether puncta and calcium occur together more than by chance."""
