"""What Evolution tells others: events, and the ways by which they leave."""
