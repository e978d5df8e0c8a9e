"""The incident: its folder, journal and ledger, their records of rollbacks, rehearsals and downtime.

Its `leaks` are the scan for secrets at the end of an action.
"""
