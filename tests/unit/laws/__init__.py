"""Laws: what holds for whatever input, tried with input that is made up and the same in every run."""
