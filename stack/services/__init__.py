"""The services: one file each, which says what the service is, what it needs and what it offers."""
