"""`postmortem.md`: the incident as its record shows it, with blanks for the facts only people know."""
