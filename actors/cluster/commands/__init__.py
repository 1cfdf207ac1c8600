"""The commands of `kubus`, a file each: `command` in each is what click runs."""
