"""A model that was exported, as scoring uses it: it needs none of the libraries of training."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pandas as pd

from ml.settings import Features


class OnnxModel:
    """An ONNX model, loaded; scores rows as Feast gives them."""

    def __init__(self, content: bytes, features: Features, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.features = features

    def scores(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Scores of rows whose features are all usable."""
        feed: dict[str, Any] = {
            name: frame[name].to_numpy(dtype=np.float64).reshape(-1, 1)
            for name in self.features.numbers
        }
        for name in [*self.features.ordered, *self.features.categories]:
            feed[name] = frame[name].to_numpy(dtype=object).reshape(-1, 1)
        [found] = self.session.run(["score"], feed)
        return np.asarray(found, dtype=np.float64).ravel()
