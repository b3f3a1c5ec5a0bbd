#!/bin/bash
# What the official image's does to an empty volume: a cluster, then a server that is
# reached by its socket only, in which it would make a database and run scripts.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  # shellcheck disable=SC2086 # several arguments
  initdb --username="$POSTGRES_USER" --pwfile=<(echo "$POSTGRES_PASSWORD") $POSTGRES_INITDB_ARGS
  echo "host all all all $(postgres -C password_encryption "${@:2}")" >> "$PGDATA/pg_hba.conf"
  pg_ctl -D "$PGDATA" -o "$(printf '%q ' "${@:2}" -c listen_addresses= -p 5432)" -w start
  PGPASSWORD=$POSTGRES_PASSWORD psql --host /var/run/postgresql \
    --username "$POSTGRES_USER" --no-password --dbname postgres --command "select 1"
  pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec "$@"
