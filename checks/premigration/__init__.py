"""The steps before a migration."""
