"""`report.html`: one file with everything in it, and the history of checks that it shows."""
