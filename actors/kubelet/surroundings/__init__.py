"""What a pod's containers find around them that is not in their images: files, variables, names, credentials.

`pod_files` puts it together; `objects` and `tokens` fetch what it is made of; the rest is pure.
"""
