"""The recipes that made the shipped weights; see README.md beside this file."""
