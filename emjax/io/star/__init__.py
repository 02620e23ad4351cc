"""STAR files: text, tables, and what RELION means by them."""
