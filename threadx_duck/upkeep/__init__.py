"""Keeps a store healthy: publish, compact, backup, migrate, doctor."""
