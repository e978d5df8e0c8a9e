"""The verdict: for programs, for a terminal, as the gate's page, and its known limits.

May import `fixtures`, `fixtures.system`, `fixtures.target`, `fixtures.incident`, `fixtures.sealing`,
`fixtures.baseline`, `fixtures.gating`, `reports.text`, `reports.incident`.
"""
