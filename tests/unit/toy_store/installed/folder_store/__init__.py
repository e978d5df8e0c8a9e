"""A store of files in folders, as its distribution installs it."""
