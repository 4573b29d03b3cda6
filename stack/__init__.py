"""The infrastructure of one WhatsApp application environment, as Pulumi components."""
