"""Tests of the client of the application."""
