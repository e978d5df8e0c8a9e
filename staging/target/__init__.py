"""A stack as a target: the operators' connections to its stores, and the actions' commands run on it."""
