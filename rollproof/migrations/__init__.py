"""The lint of a migration's text: can it be undone? Pure: nothing is run."""
