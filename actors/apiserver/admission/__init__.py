"""What is checked and filled in on a write beyond the object itself."""
