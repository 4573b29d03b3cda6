"""Backup and restore: one archive that holds all data of a stack.

The archive is a plain tar, or that tar encrypted in age's format. It is written and read as a stream: a backup of any size takes the same
memory. See docs/backup.md for what is in it, and for what a backup of a serving stack can't hold.
"""
