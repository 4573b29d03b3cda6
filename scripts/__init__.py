"""Commands for people, run inside the application's container."""
