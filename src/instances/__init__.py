"""WhatsApp connections: made, paired, looked at and removed, through Evolution API."""
