"""The model as ONNX: the same scores without Python, LightGBM or this project's code.

Each feature is an input of its own, a column of numbers or texts as Feast serves them; the
output `score` is a column between 0 and 1. Written here node by node, because converters write
thresholds in single precision, by which some rows take another branch of a tree.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper

from ml.metrics import Scores
from ml.models import Boosted, Logistic
from ml.onnx_model import OnnxModel
from ml.settings import Features

ML_OPSET = {"": 18, "ai.onnx.ml": 4}
MAXIMUM_DIFFERENCE = 1e-6


@dataclass(frozen=True)
class Parity:
    """How far ONNX is from LightGBM at most; bytes, and milliseconds to load it."""

    rows: int
    difference: float
    size: int
    load_ms: float


def to_onnx(model: Logistic | Boosted, features: Features) -> onnx.ModelProto:
    """The encoding of the features and the model, in double precision."""
    nodes: list[onnx.NodeProto] = []
    inputs, parts = [], []
    for name in features.numbers:
        inputs.append(helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["rows", 1]))
        parts.append(name)
    for name, values in features.ordered.items():
        inputs.append(helper.make_tensor_value_info(name, TensorProto.STRING, ["rows", 1]))
        nodes.append(place_node(name, values))
        parts.append(f"{name}_place")
    for name, values in features.categories.items():
        inputs.append(helper.make_tensor_value_info(name, TensorProto.STRING, ["rows", 1]))
        nodes += one_hot_nodes(name, values)
        parts.append(f"{name}_is")
    nodes.append(helper.make_node("Concat", parts, ["matrix"], axis=1))
    constants: list[onnx.TensorProto] = []
    if isinstance(model, Boosted):
        nodes += boosted_nodes(model, constants)
    else:
        nodes += logistic_nodes(model, constants)
    nodes.append(helper.make_node("Sigmoid", ["log_odds"], ["score"]))
    output = helper.make_tensor_value_info("score", TensorProto.DOUBLE, ["rows", 1])
    graph = helper.make_graph(nodes, "loan_approval", inputs, [output], constants)
    opsets = [helper.make_opsetid(domain, version) for domain, version in ML_OPSET.items()]
    found = helper.make_model(graph, opset_imports=opsets, producer_name="loan-lakehouse")
    found.ir_version = 9
    onnx.checker.check_model(found)
    return found


def place_node(name: str, values: list[str]) -> onnx.NodeProto:
    """A text to its place in the list."""
    return helper.make_node(
        "LabelEncoder",
        [name],
        [f"{name}_place"],
        domain="ai.onnx.ml",
        keys_strings=values,
        values_tensor=numpy_helper.from_array(np.arange(len(values), dtype=np.float64)),
        default_tensor=numpy_helper.from_array(np.array([np.nan])),
    )


def one_hot_nodes(name: str, values: list[str]) -> list[onnx.NodeProto]:
    return [
        helper.make_node(
            "OneHotEncoder", [name], [f"{name}_hot"], domain="ai.onnx.ml", cats_strings=values
        ),
        helper.make_node("Cast", [f"{name}_hot"], [f"{name}_double"], to=TensorProto.DOUBLE),
        # A row of one text becomes a row of one list.
        helper.make_node("Flatten", [f"{name}_double"], [f"{name}_is"], axis=1),
    ]


def boosted_nodes(model: Boosted, constants: list[onnx.TensorProto]) -> list[onnx.NodeProto]:
    """The trees and the calibration of their sum."""
    constants += [
        constant("slope", model.calibration.slope),
        constant("intercept", model.calibration.intercept),
    ]
    return [
        trees_node(model),
        helper.make_node("Cast", ["trees"], ["sum"], to=TensorProto.DOUBLE),
        helper.make_node("Mul", ["sum", "slope"], ["scaled"]),
        helper.make_node("Add", ["scaled", "intercept"], ["log_odds"]),
    ]


def logistic_nodes(model: Logistic, constants: list[onnx.TensorProto]) -> list[onnx.NodeProto]:
    """The weighted sum of standardised logarithms."""
    constants += [
        constant("one", 1.0),
        constant("mean", model.mean),
        constant("scale", model.scale),
        constant("weights", model.weights.reshape(-1, 1)),
        constant("intercept", model.intercept),
    ]
    return [
        helper.make_node("Add", ["matrix", "one"], ["more"]),
        helper.make_node("Log", ["more"], ["logarithms"]),
        helper.make_node("Sub", ["logarithms", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["standardised"]),
        helper.make_node("MatMul", ["standardised", "weights"], ["sum"]),
        helper.make_node("Add", ["sum", "intercept"], ["log_odds"]),
    ]


def constant(name: str, value: object) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value, dtype=np.float64), name)


def trees_node(model: Boosted) -> onnx.NodeProto:
    """All trees as one operator, which compares and adds in double and answers in single."""
    columns: dict[str, list[Any]] = {
        key: []
        for key in [
            "nodes_treeids",
            "nodes_nodeids",
            "nodes_featureids",
            "nodes_values",
            "nodes_modes",
            "nodes_truenodeids",
            "nodes_falsenodeids",
            "target_treeids",
            "target_nodeids",
            "target_weights",
        ]
    }
    for number, tree in enumerate(model.booster.dump_model()["tree_info"]):
        add_tree(columns, number, tree["tree_structure"])
    values = np.array(columns.pop("nodes_values"), dtype=np.float64)
    weights = np.array(columns.pop("target_weights"), dtype=np.float64)
    attributes: dict[str, Any] = dict(columns)
    return helper.make_node(
        "TreeEnsembleRegressor",
        ["matrix"],
        ["trees"],
        domain="ai.onnx.ml",
        n_targets=1,
        target_ids=[0] * len(weights),
        nodes_values_as_tensor=numpy_helper.from_array(values),
        target_weights_as_tensor=numpy_helper.from_array(weights),
        **attributes,
    )


def add_tree(columns: dict[str, list[Any]], tree: int, root: dict[str, Any]) -> None:
    """Its nodes, numbered in the order in which they are met."""
    waiting, count = [(root, 0)], 1
    while waiting:
        node, number = waiting.pop()
        columns["nodes_treeids"].append(tree)
        columns["nodes_nodeids"].append(number)
        if "split_feature" in node:
            left, right, count = count, count + 1, count + 2
            waiting += [(node["right_child"], right), (node["left_child"], left)]
            branch = (node["split_feature"], node["threshold"], "BRANCH_LEQ", left, right)
        else:
            branch = (0, 0.0, "LEAF", 0, 0)
            columns["target_treeids"].append(tree)
            columns["target_nodeids"].append(number)
            columns["target_weights"].append(node["leaf_value"])
        for key, value in zip(
            (
                "nodes_featureids",
                "nodes_values",
                "nodes_modes",
                "nodes_truenodeids",
                "nodes_falsenodeids",
            ),
            branch,
            strict=True,
        ):
            columns[key].append(value)


def check_parity(
    content: bytes, features: Features, frame: pd.DataFrame, expected: Scores
) -> Parity:
    """How ONNX differs from the model itself on these rows."""
    began = time.perf_counter()
    loaded = OnnxModel(content, features)
    load_ms = 1000 * (time.perf_counter() - began)
    difference = float(np.abs(loaded.scores(frame) - expected).max())
    return Parity(len(frame), difference, len(content), load_ms)
