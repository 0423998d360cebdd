"""The smoke test: whether a platform answers, and makes a table of a file that lands."""
