"""Kills: a rollback is killed at each of its steps, resumed, and checked.

May import `fixtures.*`, `reports.*`, `rollback_actions.*`, `staging.machine`, `staging.stack`,
`staging.target`.
"""
