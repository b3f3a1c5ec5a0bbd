"""What features describe."""

from data_sources import OWNER
from feast import Entity, ValueType

segment = Entity(
    name="segment",
    join_keys=["segment"],
    value_type=ValueType.STRING,
    description="A kind of segment of the loan book and its name: home_ownership=RENT.",
    owner=OWNER,
)

application = Entity(
    name="application",
    join_keys=["application_id"],
    value_type=ValueType.INT64,
    description="A loan application, by its key in the source system.",
    owner=OWNER,
)
