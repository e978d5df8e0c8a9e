"""One contract that every reader of a store keeps, and what is true of one store alone."""
