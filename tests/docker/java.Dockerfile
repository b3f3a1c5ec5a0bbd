# Java for the stand-ins; the official images bring their own.
FROM stand-in/debian:test
COPY java-runtime /opt/java/openjdk
ENV JAVA_HOME=/opt/java/openjdk
