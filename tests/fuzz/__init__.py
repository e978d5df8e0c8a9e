"""Fuzz targets: input from outside that is made up, the same few examples in every run, many in `--all`."""
