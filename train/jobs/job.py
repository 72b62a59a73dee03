# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#   "datasets>=4.0",
#   "evaluate>=0.4.6",
#   "fasttext-community>=0.11.9",
#   "huggingface_hub>=2.4",
#   "jinja2>=3.1",
#   "keras>=3.12",
#   "matplotlib>=3.10",
#   "numpy>=2.0",
#   "onnx>=1.19",
#   "onnxruntime>=1.20",
#   "pandas>=2.2",
#   "pyarrow>=21",
#   "scikit-learn>=1.6",
#   "tensorflow[and-cuda]>=2.20",
#   "tokenizers>=0.23.3",
#   "tqdm>=4.66",
#   "typer>=0.24",
# ]
# ///
"""Train on a rented machine: `hf jobs uv run --secrets HF_TOKEN train/jobs/job.py --source YOU/evenmood-source REPO …`.

Fetches the source archive that `python -m train job` uploaded and hands everything else to `python -m train remote`.
"""

import argparse
import runpy
import sys
import tarfile
from pathlib import Path

ARCHIVE = "source.tar.gz"


def main() -> None:
    """Fetch the source, then train with it."""
    parser = argparse.ArgumentParser(description="Train with a source archive from the Hub.", add_help=False)
    parser.add_argument("--source", required=True, help="data set on the Hub that holds the archive, id or id@revision")
    options, rest = parser.parse_known_args()
    archive = Path(__file__).with_name(ARCHIVE)
    if not archive.exists():  # not mounted beside the script
        from huggingface_hub import hf_hub_download

        repo_id, _, revision = options.source.partition("@")
        archive = Path(hf_hub_download(repo_id, ARCHIVE, repo_type="dataset", revision=revision or None))
    folder = Path("evenmood-source").resolve()
    with tarfile.open(archive) as source:
        source.extractall(folder, filter="data")
    sys.path.insert(0, str(folder))
    sys.argv = ["train", "remote", *rest]
    runpy.run_module("train", run_name="__main__")


if __name__ == "__main__":
    main()
