"""Generated mail: the same seed gives the same names, octets, flags and times."""
