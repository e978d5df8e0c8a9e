"""The terminal: steps, the monitor's samples, a decision, the card, and contacts, in lines for people.

The findings of a command are a record there, which `--json` prints: see `document`.

Its `guard` is the edge of each command line: errors and exit codes.

May import `fixtures`, `fixtures.redaction`, `fixtures.system`, `fixtures.target`, `fixtures.git`,
`fixtures.engines`, `fixtures.monitoring`, `fixtures.decision`, `fixtures.incident`, `fixtures.sealing`,
`fixtures.baseline`, `fixtures.backups`, `fixtures.team`, `fixtures.application`, `fixtures.losses`,
`fixtures.rollback`, `fixtures.doctor`.
"""
