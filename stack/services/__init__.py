"""The services: a file for each says what it is, what it needs and what it offers; beside it, what only that service knows."""
