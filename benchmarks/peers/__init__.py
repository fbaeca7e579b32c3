"""Recorded programs against the rivals that can be installed; see README.md beside this file."""
