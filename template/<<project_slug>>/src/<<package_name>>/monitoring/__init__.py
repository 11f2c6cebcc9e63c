"""Watching what the endpoint answered."""
