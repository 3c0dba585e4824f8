"""``make bench``: this server beside others on the same mail, in one run."""
