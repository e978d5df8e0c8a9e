"""The five steps before a migration."""
