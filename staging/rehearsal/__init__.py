"""The rehearsal: a bad migration, which a team is told of, is rolled back, verified and recorded."""
