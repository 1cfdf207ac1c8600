"""The smallest pieces of Protobuf's wire, as they are written: a varint, and bytes with their number and length.

Source: Protobuf's documentation of its encoding. Neighbours: the API server's `encode` and `openapi_v2` write messages
of them, and so does the kubelet for its probes.
"""

VARINT, FIXED64, BYTES = 0, 1, 2  # wire types

_SMALL = tuple(bytes([number]) for number in range(0x80))


def varint(number: int) -> bytes:
    """Return a number that is not negative, seven bits a byte, the lowest first."""
    if number < 0x80:
        return _SMALL[number]
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def delimited(number: int, data: bytes) -> bytes:
    """Return the field of that number that holds bytes."""
    return b"%b%b%b" % (varint(number << 3 | BYTES), varint(len(data)), data)
