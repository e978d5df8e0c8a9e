"""The commands of `rollproof`, their options, and how each is loaded when it is asked for."""
