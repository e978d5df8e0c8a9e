"""Backup sets on the disk: packages of stores, the index of their records; found, read, whole or refused."""
