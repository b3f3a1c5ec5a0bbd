"""Lands one consistent snapshot of the source's tables as Parquet in bronze.

The order of the files: ``snapshot`` (what is read), ``plan`` (in which slices),
``read`` (PostgreSQL to Arrow), ``write`` (Arrow to Parquet objects), ``manifest``
(the commit), ``run`` (all of it).
"""
