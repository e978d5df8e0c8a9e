"""What brings the stores from one release's shape to the next one's, a module a step."""
