"""Training, evaluation, registry and scoring of a model of loan approval."""

import os

# MLflow reads these when it is imported. Left alone it tries seven times with growing waits,
# for minutes, before it says that the server is away.
for name, value in {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}.items():
    os.environ.setdefault(name, value)
