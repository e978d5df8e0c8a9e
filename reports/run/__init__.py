"""The pytest plugins that make a record: its output is scrubbed, its record completed or rebuilt.

May import `fixtures`, `fixtures.redaction`, `fixtures.system`, `fixtures.target`, `fixtures.incident`,
`fixtures.sealing`, `fixtures.baseline`, `fixtures.gating`, `fixtures.application`, `fixtures.given`,
`reports.text`, `reports.tools`, `reports.allure`, `reports.incident`, `reports.verdict`,
`reports.postmortem`, `reports.html`.
"""
