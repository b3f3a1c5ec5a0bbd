"""Proves that silver and the rejected rows together equal the source.

Both engines compute, per column, an order-free checksum of every row: the sum of
60-bit hashes of the key and the value's canonical text (``canonical``). Equal
sums mean equal tables; when they differ, the rows are found by halving the work
into buckets (``compare``), so that only the buckets that differ are fetched.
"""
