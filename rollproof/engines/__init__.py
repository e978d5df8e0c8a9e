"""Container engines: running containers, their addresses, images and limits, free disk space. Read-only."""
