"""Telling others: signed messages, written with what they tell of and delivered until they are heard."""
