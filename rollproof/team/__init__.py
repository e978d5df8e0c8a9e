"""People: the contact flow as a clock, the record of alerts, the change document. Notifies nobody."""
