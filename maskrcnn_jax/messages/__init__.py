"""Texts of messages: counts, and errors of the operating system."""
