"""The columns that kubectl shows, by family of kinds. Cells are computed here, on the server, as in Kubernetes."""
