"""The application: WhatsApp messages through Evolution API."""
