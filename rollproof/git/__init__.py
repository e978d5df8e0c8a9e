"""The application's repository, through git: commits, changes, files of a migration. Reads only."""
