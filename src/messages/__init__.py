"""Messages: the requests for them, their storage, and the outbox that sends them."""
