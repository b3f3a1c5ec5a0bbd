# Java for the stand-ins; the official images contain their own.
FROM stand-in/debian:test
COPY java-runtime /opt/java/openjdk
ENV JAVA_HOME=/opt/java/openjdk
