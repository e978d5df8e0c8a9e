"""What may change the target. Nothing else does."""
