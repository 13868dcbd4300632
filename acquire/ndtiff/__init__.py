"""NDTiff data sets of Micro-Manager and pycromanager: replayed, or followed while they are written."""
