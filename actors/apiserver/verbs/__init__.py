"""What each verb does: a file each, from a parsed request to an answer."""
