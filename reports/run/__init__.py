"""The pytest plugins that make a record: its output is scrubbed, its record completed or rebuilt."""
