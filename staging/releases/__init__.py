"""The application in two releases: its repository, its deployments on a stack.

May import `fixtures.*`, `reports.*`, `rollback_actions.*`, `staging.machine`, `staging.stack`.
"""
