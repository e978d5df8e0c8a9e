"""The rehearsal: a bad migration, which a team is told of, is rolled back, verified and recorded.

May import `fixtures.*`, `reports.*`, `rollback_actions.*`, `staging.machine`, `staging.stack`,
`staging.releases`.
"""
