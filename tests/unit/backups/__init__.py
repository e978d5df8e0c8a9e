"""Tests of backup sets, and of what is lost by a restore of one."""
