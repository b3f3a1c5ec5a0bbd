"""The lakehouse as a project that DBeaver imports."""
