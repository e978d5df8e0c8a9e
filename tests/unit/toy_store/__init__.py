"""A store that the suite does not know: files of a folder, added by its packages and its descriptor alone.

`installed` is what an installed distribution leaves next to its modules: it names the descriptor in the group
of entry points where the suite looks for it. No module of the suite is told of this store.
"""
