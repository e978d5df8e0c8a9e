"""Reading a target as its baseline records it: each fact once, each store on a thread of its own."""
