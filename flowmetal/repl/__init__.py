"""Prompts: sessions in a terminal and for editors."""
