"""Server-side apply and managed fields: who owns which field of an object, and what follows from that.

Every write leaves in `metadata.managedFields` which manager has set which fields. A server-side apply merges a
manager's whole intent into the object, refuses to take fields from other managers unless forced, and removes what the
manager applied before and applies no longer, when nobody else owns it. The behaviour is that of KEP-555 and of the
library structured-merge-diff, in which Kubernetes has put it.

    field_set       sets of fields in the form of FieldsV1, and their algebra
    path_elements   one step of a path: `f:name`, `k:{"name":"x"}`, `v:"x"`, `i:0`
    types           how the parts of a value are owned: leaves, granular objects, lists of maps and sets; comparison
    kinds           the types of kinds: built-in ones from the schemas, custom ones from a structural schema
    values          merge, removal, and the set of fields of an applied configuration
    managers        the entries of metadata.managedFields: identity, order, limits, what a client may send
    tracking        what a create or an update does to the entries
    server_side     the apply itself, with conflicts and pruning
    last_applied    how kubectl's client-side apply hands over to the server-side one
    request         a request to apply: its body, its options, and what of it each subresource takes

All of it is pure. Entries and field sets are never changed in place: a result shares what has not changed with its
input, and is the same object when nothing has.

Neighbours: `verbs` call `tracking` on every write and `request` on a PATCH of the media type that says apply.
"""
