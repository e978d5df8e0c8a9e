"""Tests of the monitor, its probes and samples, and of the decision by them."""
