"""PersistentVolumes and their claims: who gets which volume, and what becomes of it afterwards.

`match` finds a volume for a claim, `claims` and `volumes` decide on one object each, `provisioner` makes volumes out of
directories, `protection` keeps what is in use from being removed. All of them are pure; `controller` runs them.
"""
