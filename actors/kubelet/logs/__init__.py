"""What containers write: read from where one wants, kept small, and quoted in the status of one that ended."""
