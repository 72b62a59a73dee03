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
#   "typer>=0.26",
# ]
# ///
"""Script of a Hub job: `hf jobs uv run --secrets HF_TOKEN train/jobs/job.py --source OWNER/NAME REPO …`.

Downloads the source archive uploaded by `python -m train job`, and runs `python -m train remote` with all other
arguments.
"""

import argparse
import runpy
import sys
import tarfile
from pathlib import Path

ARCHIVE = "source.tar.gz"


def main() -> None:
    """Download the source and train with it."""
    parser = argparse.ArgumentParser(description="Train with a source archive from the Hub.", add_help=False)
    parser.add_argument("--source", required=True, help="Hub data set with the archive, ID or ID@REVISION")
    options, arguments = parser.parse_known_args()
    archive = Path(__file__).with_name(ARCHIVE)
    if not archive.exists():  # not mounted next to the script
        from huggingface_hub import hf_hub_download

        repo_id, _, revision = options.source.partition("@")
        archive = Path(hf_hub_download(repo_id, ARCHIVE, repo_type="dataset", revision=revision or None))
    folder = Path("evenmood-source").resolve()
    with tarfile.open(archive) as source:
        source.extractall(folder, filter="data")
    sys.path.insert(0, str(folder))
    sys.argv = ["train", "remote", *arguments]
    runpy.run_module("train", run_name="__main__")


if __name__ == "__main__":
    main()
