"""Migrations of the stores from one release's shape to the next one's, one module per step."""
