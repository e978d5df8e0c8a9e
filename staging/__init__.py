"""The rehearsal stack: real stores, a small RAG application in two releases, and what is proved on them.

Its own modules are the command line. May import `fixtures.*`, `reports.*`, `rollback_actions.*`,
`staging.machine`, `staging.stack`, `staging.releases`, `staging.rehearsal`, `staging.drills`,
`staging.faults`, `staging.kills`.
"""
