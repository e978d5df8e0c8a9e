"""Containers and volumes of the target: run, stop, save, load, re-create.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.engines`.
"""
