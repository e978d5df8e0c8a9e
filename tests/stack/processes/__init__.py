"""Tests whose subject is a real process, socket or signal; they need no staging stack."""
