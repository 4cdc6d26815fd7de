"""Texts from outside, made safe: symbols as typed, addresses, whatever is printed."""
