"""A migration: what it did to the stores, and advice on its text beforehand."""
