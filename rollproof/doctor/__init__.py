"""What a target needs, asked side by side, and a baseline captured where all of it is there."""
