"""The seal of a record: a chain of the hashes of its files, signed at its head."""
