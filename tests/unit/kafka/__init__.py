"""Tests of Kafka's packages."""
