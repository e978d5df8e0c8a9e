"""The write side of each store: back up, restore. One module a store."""
