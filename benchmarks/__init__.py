"""Side-by-side comparisons; see README.md beside this file."""
