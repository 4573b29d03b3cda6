"""The routes, by area."""
