"""Reading a target as its baseline was recorded: each fact once, each store on a thread of its own."""
