"""What every container engine answers and does: on compose, and on a swarm of two nodes."""
