"""The toy store, held to the contracts of exports and keepers."""
