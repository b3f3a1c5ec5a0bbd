"""The files of a run in MLflow, by their names."""

ONNX, NATIVE, CARD = "model.onnx", "model.txt", "card.html"
TYPICAL_VALUES, REFERENCE = "typical_values.json", "reference.parquet"
TRAINING_SET, PARAMETERS, SETTINGS = "training_set.parquet", "parameters.json", "settings.yml"
# A folder: the reports of monitoring, one a week.
REPORTS = "monitoring"
