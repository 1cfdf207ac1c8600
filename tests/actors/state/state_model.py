"""A key store as anybody would write it first: a full copy of all keys for every revision. The real one must agree."""

from actors.state.messages import Compare, DeleteRange, KeyValue, Put, Range, Txn


class ModelStore:
    def __init__(self):
        self.revision = 1
        self.compact_revision = 0
        self.at = {1: {}}  # revision -> key -> KeyValue
        self.changes = []  # (revision, KeyValue), tombstones with version 0
        self.leases = {}  # lease -> ttl

    def matching(self, keys, key, range_end):
        if not range_end:
            return [key] if key in keys else []
        return sorted(k for k in keys if k >= key and (range_end == b"\0" or k < range_end))

    def range(self, wanted: Range, keys=None):
        if keys is None:
            keys = self.at[wanted.revision or self.revision]
        found = [keys[k] for k in self.matching(keys, wanted.key, wanted.range_end)]
        field = {"key": "key", "version": "version", "create": "create_revision", "mod": "mod_revision",
                 "value": "value"}[wanted.sort_target]  # fmt: skip
        ordered = sorted(found, key=lambda kv: getattr(kv, field), reverse=wanted.descending)
        count = len(ordered)
        if wanted.count_only:
            return [], count, False
        cut = ordered[: wanted.limit] if wanted.limit else ordered
        if wanted.keys_only:
            cut = [KeyValue(k.key, b"", k.create_revision, k.mod_revision, k.version, k.lease) for k in cut]
        return cut, count, len(cut) < count

    def holds(self, compare: Compare):
        keys = self.at[self.revision]
        field = {"value": "value", "version": "version", "create": "create_revision", "mod": "mod_revision",
                 "lease": "lease"}[compare.target]  # fmt: skip
        matching = self.matching(keys, compare.key, compare.range_end)
        if not matching:
            if compare.target == "value":
                return False
            values = [0]
        else:
            values = [getattr(keys[k], field) for k in matching]
        test = {"=": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b, ">": lambda a, b: a > b}
        return all(test[compare.result](value, compare.operand) for value in values)

    def txn(self, txn: Txn):
        """Return (succeeded, answers); an answer is comparable with `comparable(result)`."""
        keys = dict(self.at[self.revision])
        changes = []
        decisions = {}
        self.decide(txn, decisions)
        answer = self.execute(txn, keys, changes, decisions)
        if changes:
            self.revision += 1
            self.at[self.revision] = keys
            self.changes += [(self.revision, kv) for kv in changes]
        return answer

    def decide(self, txn, decisions):
        decisions[id(txn)] = all(self.holds(c) for c in txn.compare)
        for each in txn.success if decisions[id(txn)] else txn.failure:
            if isinstance(each, Txn):
                self.decide(each, decisions)

    def execute(self, txn, keys, changes, decisions):
        succeeded = decisions[id(txn)]
        answers = []
        for each in txn.success if succeeded else txn.failure:
            if isinstance(each, Put):
                old = self.put(keys, changes, each)
                answers.append(("put", old if each.prev_kv else None))
            elif isinstance(each, DeleteRange):
                gone = [self.delete(keys, changes, k) for k in self.matching(keys, each.key, each.range_end)]
                answers.append(("delete", len(gone), gone if each.prev_kv else []))
            elif isinstance(each, Range):
                source = self.at[each.revision] if each.revision else keys
                answers.append(("range", *self.range(each, source)))
            else:
                answers.append(self.execute(each, keys, changes, decisions))
        return ("txn", succeeded, answers)

    def put(self, keys, changes, put):
        old = keys.get(put.key)
        created = old.create_revision if old else self.revision + 1
        keys[put.key] = KeyValue(
            put.key, put.value, created, self.revision + 1, old.version + 1 if old else 1, put.lease
        )
        changes.append(keys[put.key])
        return old

    def delete(self, keys, changes, key):
        old = keys.pop(key)
        changes.append(KeyValue(key, b"", 0, self.revision + 1, 0))
        return old

    def revoke(self, lease):
        keys = dict(self.at[self.revision])
        changes = []
        for key in sorted(keys):
            if keys[key].lease == lease:
                self.delete(keys, changes, key)
        del self.leases[lease]
        if changes:
            self.revision += 1
            self.at[self.revision] = keys
            self.changes += [(self.revision, kv) for kv in changes]


def comparable(result):
    """Return a TxnResult in the model's form."""
    kind = type(result).__name__
    if kind == "PutResult":
        return ("put", result.prev_kv)
    if kind == "DeleteRangeResult":
        return ("delete", result.deleted, result.prev_kvs)
    if kind == "RangeResult":
        return ("range", result.kvs, result.count, result.more)
    return ("txn", result.succeeded, [comparable(each) for each in result.responses])
