# Stands in for trinodb/trino: its user, its paths, its volume-less /data/trino.
FROM stand-in/java:test
RUN groupadd --gid 1000 trino && useradd --uid 1000 --gid 1000 trino \
  && install --directory --owner trino --group trino /data/trino
COPY lib /usr/lib/trino/lib
COPY plugin /usr/lib/trino/plugin
COPY secrets-plugin /usr/lib/trino/secrets-plugin
USER 1000
