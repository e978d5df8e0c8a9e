"""What commands answer, in lines for people: a decision with its plan, the card, samples, contacts, findings.

The findings of a command are a record there, which `--json` prints.
"""
