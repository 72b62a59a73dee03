"""Round trip of data, model and demo through the Hub: `make hub-tour`, on a fake Hub; `--real` uses the real one."""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from secrets import token_hex

from data_build.stages import goemotions
from docs.screenshot import ROOT, running_demo
from tests.fakes.hub_server import HubServer
from tests.fakes.local_hub import HUB_ENVIRONMENT, REAL_TOKEN
from tests.small_data import balanced_rows, tweets, write_balance, write_tsv, write_tweets

LOCAL_TOKEN = "hf_onlyThisHubKnowsIt"
SENTENCE = "That is so gratitudeful!"
SMALL = (
    "--vectors random --embedding-size 32 --filters 32 --lstm-units 16 --dense-units 32 --batch-size 64 "
    "--max-length 16 --min-frequency 1 --prior-bias --learning-rate 0.02 --epochs 12"
)


def main() -> None:
    """Run all steps; exit with 1 if a step fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--real", action="store_true", help="use the real Hub with HF_TOKEN; repositories are private and deleted"
    )
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="evenmood-tour-") as temporary:
        folder = Path(temporary)
        home = {"HF_HOME": str(folder / "home")}
        if options.real:
            if not REAL_TOKEN:
                sys.exit("error: --real requires HF_TOKEN; set it to a token with write access")
            tour(folder, {**home, "HF_TOKEN": REAL_TOKEN}, f"-tour-{token_hex(3)}")
        else:
            with HubServer(tokens=[LOCAL_TOKEN]) as hub:
                print(f"Using a fake Hub at {hub.url}; nothing is sent over the network.")
                tour(folder, {**HUB_ENVIRONMENT, "HF_ENDPOINT": hub.url, **home, "HF_TOKEN": LOCAL_TOKEN}, "")
    print(f"\nDone in {time.monotonic() - started:.0f} s.")


def tour(folder: Path, settings: dict[str, str], suffix: str) -> None:
    """Run all steps in a folder."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "PYTHONWARNINGS": "ignore"}
    environment = {**clean, "NO_PROXY": "127.0.0.1", "PYTHONPATH": str(ROOT), **quiet, **settings}

    def run(words: list[str]) -> str:
        result = subprocess.run(words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        print(result.stdout, end="", flush=True)
        if result.returncode:
            sys.exit(f"error: the step failed with exit code {result.returncode}")
        return result.stdout

    def command(line: str) -> str:
        print(f"\n$ {line}", flush=True)
        words = [sys.executable if word == "python" else word for word in shlex.split(line)]
        return run(words)

    def snippet(code: str) -> str:
        print("\n" + "\n".join(f">>> {line}" for line in code.splitlines()), flush=True)
        return run([sys.executable, "-c", code])

    def title(text: str) -> None:
        print(f"\n\n== {text}", flush=True)

    whose = "import huggingface_hub; print(huggingface_hub.whoami()['name'])"
    you = snippet(whose).strip() if suffix else "you"
    data, model, space = (f"{you}/{name}{suffix}" for name in ("even-emotions", "moods", "moods-demo"))
    build = folder / "build"
    write_tsv(build / "tsv", rows=2000)
    try:
        title("Publish a synthetic data set; tweets are published as hashes")
        command("python -m data_build goemotions build --data build/tsv --any-size")
        write_balance(build, balanced_rows(build / goemotions.STAGE))
        command(f"python -m data_build publish build {data} --private")
        snippet(f"from datasets import load_dataset\nprint(load_dataset({data!r}, 'balanced'))")
        title("Fill in the tweets from a copy of Sentiment140")
        write_tweets(folder / "tweets.csv", tweets())
        command(f"python -m data_build hydrate {data} --tweets tweets.csv --out hydrated")
        title("Train a small network on the data set from the Hub, and evaluate it on the test split")
        command(f"python -m train fit --data {data}:unbalanced --out moods {SMALL}")
        command("python -m train evaluate moods --split test")
        title("Push the model: network, thresholds, tokenizer, card, in one commit")
        command(f"python -m train push moods {model} --private")
        title("Load the model as an evenmood classifier …")
        snippet(
            "from evenmood import EmotionClassifier\n"
            f"classifier = EmotionClassifier.from_pretrained({model!r})\n"
            f"print(classifier.predict({SENTENCE!r}))"
        )
        title("… as a pipeline with the interface of transformers …")
        snippet(
            "from evenmood import pipeline\n"
            f"classify = pipeline('text-classification', model={model!r}, top_k=2)\n"
            f"print(classify({SENTENCE!r}))"
        )
        title("… as a Keras network, and file by file")
        snippet(
            "import sys\nsys.modules['evenmood'] = sys.modules['train'] = None  # as if not installed\n"
            f"import keras\nprint(keras.saving.load_model('hf://{model}').count_params(), 'parameters')"
        )
        snippet(
            "import json\nfrom huggingface_hub import hf_hub_download\n"
            f"info = json.load(open(hf_hub_download({model!r}, 'emotions.json')))\n"
            "print(info['thresholds']['gratitude'], info['metrics']['test']['macro_f1'])"
        )
        title("Deploy the demo, start the files of the Space, and call its API")
        command(f"python -m space.deploy {space} --model {model} --private")
        space_folder = snippet(
            f"from huggingface_hub import snapshot_download\nprint(snapshot_download({space!r}, repo_type='space'))"
        ).strip()
        with running_demo(environment={**settings, "EVENMOOD_MODEL": model}, app=Path(space_folder) / "app.py") as url:
            snippet(
                "from gradio_client import Client\n"
                f"answer = Client({url!r}, verbose=False).predict({SENTENCE!r}, api_name='/analyze')\n"
                "print([(row['label'], round(row['probability'], 2)) for row in answer['scores']])"
            )
    finally:
        if suffix:
            title("Delete the repositories")
            snippet(
                "from huggingface_hub import HfApi\n"
                f"for name, kind in ({data!r}, 'dataset'), ({model!r}, 'model'), ({space!r}, 'space'):\n"
                "    HfApi().delete_repo(name, repo_type=kind, missing_ok=True)"
            )


if __name__ == "__main__":
    main()
