"""What Evolution API tells: read, stored once, whichever way it came."""
