"""The surrogate functions, grouped by the shape of their gradient: a class and a function for each."""
