"""Lands every change that Debezium writes to Kafka in bronze, exactly once.

The order of the files: ``topics`` (where the changes are), ``envelope`` (one
record, read), ``buffer`` (many of them, as columns), ``chain`` (the names of the
objects), ``land`` (one object, whatever happens), ``dead_letters`` (what cannot be
read), ``writer`` (one partition's way to bronze), ``consumer`` (the loop), ``member``
(a process of the group), ``commands``. ``client`` and ``status`` serve them.
"""
