"""Deploy the Space to a fake Hub on loopback, and run it with only its requirements."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client
from huggingface_hub import SpaceCard

from docs.screenshot import running_demo
from evenmood import EmotionClassifier
from evenmood.model.loading import BUNDLED
from evenmood.model.model_folder import INFO_FILE, PREDICTION_FILES
from space import static_page
from tests.commands import run_command
from tests.conftest import DEFAULT_MODEL
from tests.fakes.hub_repository import files_of
from tests.fakes.hub_server import HubServer
from tests.fakes.local_hub import HUB_ENVIRONMENT, READER, run_module
from tests.fresh_environment import ROOT, fresh_environment

NAME, MODEL = "you/moods-demo", "you/moods"
REPOSITORY = f"spaces/{NAME}"
TEXT = "Thank you so much, I am so happy!"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture
def hub_with_model(hub: HubServer, token: str) -> HubServer:
    files = {name: (DEFAULT_MODEL / name).read_bytes() for name in PREDICTION_FILES}
    files[INFO_FILE] = files[INFO_FILE].replace(b'"joy": 0.', b'"joy": 0.9')
    hub.add(MODEL, files)
    return hub


def test_folder_is_uploaded_in_one_commit(hub_with_model: HubServer) -> None:
    result = run_module("space.deploy", NAME, "--model", MODEL, "--private")
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{hub_with_model.url}/{REPOSITORY}\n"
    space = hub_with_model.repositories[REPOSITORY]
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "evenmood").rglob("*.py")}
    model = {f"evenmood/{folder}/{name}" for folder in BUNDLED.values() for name in PREDICTION_FILES}
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "space").rglob("*.py")} - {
        "space/app.py",
        "space/deploy.py",
        "space/static_page.py",
    }
    files |= {"space/page.css", "space/page.js", *(f"space/locales/{name}.json" for name in ("en", "es", "zh"))}
    files |= {f"space/samples/{name}" for name in ("chat.txt", "letter.txt", "reviews.csv")}
    files |= {"evenmood/report/style.css"}
    pictures = {"docs/demo.png"}
    expected = {"app.py", "requirements.txt", "README.md", "evenmood/py.typed", *modules, *model, *files, *pictures}
    assert set(space.files()) - {".gitattributes"} == expected
    assert (space.private, space.sdk, space.variables) == (True, "gradio", {"EVENMOOD_MODEL": MODEL})
    card = SpaceCard(space.files()["README.md"].decode())
    metadata = card.data.to_dict()
    assert metadata["models"] == [MODEL]
    assert metadata["preload_from_hub"] == ["you/moods model.onnx,tokenizer.json,emotions.json"]
    assert (metadata["python_version"], metadata["sdk_version"], metadata["app_file"]) == ("3.12", "6.31.0", "app.py")
    assert f'Client("{NAME}")' in card.text
    requirements = space.files()["requirements.txt"].decode().split()
    assert all("==" in line for line in requirements)
    assert {line.split("==")[0] for line in requirements} >= {"onnxruntime", "tokenizers", "numpy"}
    second_run = run_module("space.deploy", NAME, "--model", MODEL)
    assert "no changes since commit" in second_run.stderr
    assert len(space.history()) == 2
    assert hub_with_model.requests[f"POST /api/spaces/{NAME}/variables"] == 1  # a change restarts the Space


def test_redeploy_with_the_bundled_model(hub_with_model: HubServer) -> None:
    assert run_module("space.deploy", NAME, "--model", MODEL).returncode == 0
    repository = hub_with_model.repositories[REPOSITORY]
    repository.commit({**repository.files(), "evenmood/old.py": b"", "mine.md": b"", "lib/mine.py": b""})
    result = run_module("space.deploy", NAME)
    assert result.returncode == 0, result.stderr
    assert repository.variables == {}
    assert b"preload_from_hub" not in repository.files()["README.md"]
    assert "evenmood/old.py" not in repository.files()
    assert {"mine.md", "lib/mine.py"} <= set(repository.files())


def test_errors_are_reported(hub_with_model: HubServer) -> None:
    hub_with_model.add("you/bert", {"config.json": b"{}"})
    hub_with_model.repositories[MODEL].private = True
    for arguments, environment, expected in (
        ([NAME, "--model", "you/bert"], {}, "not an evenmood model"),
        ([NAME, "--model", "you/nothing"], {}, "404"),
        ([NAME], {"HF_TOKEN": READER}, "403"),
        (["stranger/demo"], {}, "403"),
    ):
        result = run_module("space.deploy", *arguments, **environment)
        assert result.returncode == 1, result.stdout
        assert result.stderr.count("\n") == 1
        assert expected in result.stderr
        assert REPOSITORY not in hub_with_model.repositories
    private_model = run_module("space.deploy", NAME, "--model", MODEL)
    assert "add a secret HF_TOKEN with read access" in private_model.stderr


def test_static_page(hub: HubServer, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    monkeypatch.setattr(static_page, "SITE", site)
    for arguments in ([], ["--out", str(tmp_path / "out")]):
        result = run_command("space.deploy", NAME, "--static", *arguments)
        assert result.returncode == 1
        assert result.stderr == f"error: {site}: not found; run: make web\n"
    assert REPOSITORY not in hub.repositories
    site.mkdir()
    for name in ("index.html", "app.js", "model.onnx.gz"):
        (site / name).write_bytes(name.encode())
    result = run_command("space.deploy", NAME, "--static", "--private")
    assert (result.returncode, result.stdout) == (0, f"{hub.url}/{REPOSITORY}\n")
    space = hub.repositories[REPOSITORY]
    assert (space.sdk, space.private) == ("static", True)
    assert set(space.files()) - {".gitattributes"} == {"README.md", "index.html", "app.js", "model.onnx.gz"}
    assert SpaceCard(space.files()["README.md"].decode()).data.to_dict()["sdk"] == "static"
    assert "no changes since commit" in run_command("space.deploy", NAME, "--static").stderr
    result = run_command("space.deploy", NAME, "--static", "--out", tmp_path / "out")
    assert "python -m http.server" in result.stderr
    assert (tmp_path / "out" / "app.js").read_bytes() == b"app.js"
    result = run_command("space.deploy", NAME, "--static", "--model", MODEL)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "--model is not available with --static" in result.stderr


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """The folder of the Space, and the Python of an environment with its requirements."""
    folder = tmp_path_factory.mktemp("space") / "app"
    result = run_module("space.deploy", NAME, "--model", MODEL, "--out", folder)
    assert result.returncode == 0, result.stderr
    gradio = f"gradio=={SpaceCard.load(folder / 'README.md').data.to_dict()['sdk_version']}"
    environment = tmp_path_factory.mktemp("venv")
    yield (
        folder,
        fresh_environment(environment, gradio, "-r", folder / "requirements.txt", constrained=False) / "python",
    )
    shutil.rmtree(environment)


@pytest.mark.slow
def test_space_runs_with_only_its_requirements(
    hub_with_model: HubServer, space: tuple[Path, Path], tmp_path: Path, model: EmotionClassifier
) -> None:
    folder, python = space
    files_before = set(files_of(folder))
    settings = {**HUB_ENVIRONMENT, "HF_HOME": str(tmp_path), "EVENMOOD_MODEL": MODEL, "PYTHONDONTWRITEBYTECODE": "1"}
    with running_demo(environment=settings, python=python, app=folder / "app.py") as url:
        client = Client(url, verbose=False)
        try:
            prediction = client.predict(TEXT, api_name="/analyze")
        finally:
            client.close()
    assert prediction["labels"][0] == "gratitude"
    expected = dict(zip(model.labels, map(float, model.predict_proba(TEXT)), strict=True))
    assert prediction["probabilities"] == pytest.approx(expected)
    assert "joy" not in prediction["labels"]  # because of the Hub model's threshold
    assert set(hub_with_model.sent) == {f"{MODEL}/{name}" for name in PREDICTION_FILES}
    assert set(files_of(folder)) == files_before
