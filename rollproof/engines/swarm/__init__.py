"""Docker Swarm: the services of a stack, as its manager wants them and as each node's engine has them.

A manager's word that a task runs is not evidence: each node with tasks of the stack is asked itself.
Read-only.
"""
