"""Skip tests that need the training dependencies if these are not installed (`pip install --group train`)."""

from importlib.util import find_spec

TRAINING = (
    *("evaluation/test_calibration.py", "evaluation/test_metrics.py", "model/test_loading.py"),
    "model/test_large_downloads.py",
    *("model/test_model_folder.py", "onnx/test_graph_check.py", "onnx/test_onnx_files.py", "onnx/test_vocabulary.py"),
    *("test_default_model.py", "test_thresholds.py"),
)
collect_ignore = [] if all(map(find_spec, ("evaluate", "matplotlib", "onnx"))) else [*TRAINING]
