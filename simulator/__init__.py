"""A stand-in for Evolution API 2.2.3: its settings, its services and its HTTP contract, without WhatsApp."""

VERSION = "2.2.3"
"""The version of Evolution API whose behaviour is imitated."""
