"""Tests of what all stores have in common, and of MongoDB, Redis and S3."""
