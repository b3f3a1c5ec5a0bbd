"""Lands every change that Debezium writes to Kafka in bronze, exactly once.

In reading order: ``topics`` (where the changes are), ``envelope`` (decodes one record),
``buffer`` (collects records as columns), ``object_keys`` (names the objects), ``upload``
(writes one object), ``dead_letters`` (records that cannot be decoded),
``partition_writer`` (one partition), ``consumer`` (the poll loop), ``member`` (a process
of the group) and ``commands`` (the CLI). ``client`` and ``status`` serve them.
"""
