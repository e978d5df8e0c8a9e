"""Containers and volumes of the target: run, stop, save, load, re-create."""
