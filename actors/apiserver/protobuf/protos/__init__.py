"""The messages of the wire, a file for each API group and version. `catalog` reads them."""
