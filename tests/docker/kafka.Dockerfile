# Stands in for apache/kafka: its user, its paths, its volumes.
FROM stand-in/java:test
RUN useradd --uid 1000 --create-home appuser \
  && install --directory --owner appuser /var/lib/kafka/data /etc/kafka/secrets /mnt/shared/config
COPY *.jar /opt/kafka/libs/
USER 1000
VOLUME ["/etc/kafka/secrets", "/var/lib/kafka/data", "/mnt/shared/config"]
