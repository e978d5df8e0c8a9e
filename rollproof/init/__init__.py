"""A compose project without a profile: its parts, a proposed profile, statements for its accounts."""
