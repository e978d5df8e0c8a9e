"""The toy store, held to the contract of readers."""
