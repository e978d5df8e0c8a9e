"""The application in two releases: its repository, its deployments on a stack."""
