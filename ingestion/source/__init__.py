"""Fills the source database: from the CSV file or from a seeded generator."""
