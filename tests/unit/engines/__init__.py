"""Tests of containers, volumes and images, and of the application's repository."""
