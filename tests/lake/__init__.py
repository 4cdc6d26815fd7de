"""Tests of the lake, against a PostgreSQL that they start themselves."""
