"""Tells people: alerts that the contact flow asks for, the notice of a migration; records their results."""
