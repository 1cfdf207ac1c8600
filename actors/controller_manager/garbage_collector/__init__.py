"""What is left when an owner goes: background, foreground and orphaning deletion.

`graph` knows who owns whom, `collect` decides about one object, `controller` feeds both from the caches of every
resource that discovery finds, and makes sure of an owner's absence before anything is deleted.
"""
