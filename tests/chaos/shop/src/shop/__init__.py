"""A project with one landing, whose worker can be told to die at a given point."""
