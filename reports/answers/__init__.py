"""What commands answer, in lines for people: a decision with its plan, the card, samples, contacts, findings.

The findings of a command are a record there, which `--json` prints.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.git`, `fixtures.engines`,
`fixtures.monitoring`, `fixtures.decision`, `fixtures.incident`, `fixtures.sealing`, `fixtures.baseline`,
`fixtures.backups`, `fixtures.team`, `fixtures.application`, `fixtures.losses`, `fixtures.rollback`,
`fixtures.doctor`, `reports.terminal`.
"""
