"""The benchmark: a load generator in C, a limit in C, relays to compare, and the table made of them. Run by `make bench`."""
