"""What a target needs, asked side by side."""
