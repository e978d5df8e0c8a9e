"""The application as users see it: a client, and the canary, who alone writes, and removes its traces."""
