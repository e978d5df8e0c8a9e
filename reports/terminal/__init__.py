"""The terminal: progress of steps, the monitor's samples, and a decision with its plan, in lines for people.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.git`, `fixtures.engines`,
`fixtures.monitoring`, `fixtures.decision`, `fixtures.incident`, `fixtures.monitor`, `fixtures.losses`,
`fixtures.rollback`.
"""
