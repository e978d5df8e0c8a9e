"""`postmortem.md`: the incident as its record tells it, with blanks for the facts only people know."""
