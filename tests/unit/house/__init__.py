"""Tests of the house itself: its layers, its words, its packages and what it is published as."""
