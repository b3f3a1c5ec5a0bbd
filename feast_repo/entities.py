"""What features describe."""

from data_sources import OWNER
from feast import Entity, ValueType

application = Entity(
    name="application",
    join_keys=["application_id"],
    value_type=ValueType.INT64,
    description="A loan application, by its key in the source system.",
    owner=OWNER,
)
