"""What containers find in their file systems: volumes, their content, and how they are mounted.

Read `content` (what files hold, pure), `atomic` (how a set of files changes at once), `mounting` (the kernel's part),
then `volumes`, which does it for a pod.
"""
