# ruff: noqa: INP001 -- the package is release 1's: this file is laid upon it
"""Create the topic of ingestion jobs, and end: `python -m app.topics`, before the application starts."""

from app import jobs
from app.migrations.initial import create_topic

if __name__ == "__main__":
    create_topic(jobs.PARTITIONS)
