"""Large collections, digested by Dask workers near the data: parts can be read anywhere, in any order."""
