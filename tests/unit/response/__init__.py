"""Tests of the response to an incident, of changes and of the team's contacts."""
