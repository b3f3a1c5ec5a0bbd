"""Lands one consistent snapshot of the source's tables as Parquet in bronze.

In reading order: ``snapshot`` (what is read), ``plan`` (in which slices), ``read``
(PostgreSQL to Arrow), ``write`` (Arrow to Parquet objects), ``manifest`` (the commit),
``run`` (the whole batch).
"""
