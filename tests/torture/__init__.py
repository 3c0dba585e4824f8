"""Harnesses that hunt for lost mail and open doors: see ``README.rst``."""
