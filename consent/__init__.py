"""Consent of a client: what was said yes to, how it was given, and when it was taken back."""
