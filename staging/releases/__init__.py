"""The application in two releases: its repository, its deployments on a stack, its bad migration's damage.

May import `fixtures.*`, `reports.*`, `rollback_actions.*`, `staging.stack`.
"""
