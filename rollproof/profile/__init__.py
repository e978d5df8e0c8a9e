"""The target as its profile describes it: sections, limits, kinds of store, safety matrix, errors in it."""
