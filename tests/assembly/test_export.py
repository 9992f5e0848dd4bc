"""A run's model for others: equal numbers elsewhere, told truly, and nothing private."""

import base64
import getpass
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import ModelCard

import chiasm
from chiasm.assembly import train_run
from chiasm.assembly.export import export_run
from chiasm.errors import UserError
from chiasm.hub import upload
from chiasm.recipe import load_recipe

TEXT = "this is text 3 of forty"

SCORED = """
import sys, chiasm
model = chiasm.load(sys.argv[1])
print(repr(model.score(sys.argv[2]).nats))
print(model.embed(sys.argv[2]).tobytes().hex())
print(model.draw(sys.argv[2], steps=2).tobytes().hex())
"""

RUN = ("stream.sequence_length=64", "training.steps=4")
MEASURED = {
    "drawings": 4,
    "text_documents": 8,
    "ngram_documents": 8,
    "flow_documents": 8,
    "steps": 2,
}


@pytest.fixture(scope="module")
def run(tiny_recipe: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a report."""
    folder = tmp_path_factory.mktemp("runs")
    recipe = load_recipe(tiny_recipe(folder / "recipe.toml", *RUN))
    command = f"chiasm train {folder}/recipe.toml --out {folder}/mine"
    train_run(recipe, folder / "mine", command=command, tell=lambda line: None)
    sizes = {f"evaluation.{name}": value for name, value in MEASURED.items()}
    chiasm.evaluate(folder / "mine", **sizes)
    return folder / "mine"


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "mine"
    told = ["stream.sources.pictures.license=cc-by-4.0"]
    export_run(run, out, told, license="apache-2.0", tell=lambda line: None)
    return out


def scored(path: Path | str, **environment: str) -> str:
    """What a fresh process finds."""
    return fresh("-c", SCORED, str(path), TEXT, **environment).stdout


def fresh(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own that has ended."""
    command = [sys.executable, "-W", "ignore", *arguments]
    environment = {**os.environ, **environment}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.returncode in (0, 2), ended.stderr
    return ended


@pytest.mark.slow
def test_a_fresh_process_finds_equal_numbers(run: Path, exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported, tmp_path / "elsewhere")
    assert scored(tmp_path / "elsewhere") == scored(run)


@pytest.mark.slow
def test_nothing_in_it_is_private(run: Path, exported: Path, tiny_data: Path) -> None:
    texts = {
        path: path.read_text()
        for path in exported.rglob("*")
        if path.is_file() and path.suffix != ".safetensors"
    }
    assert len(texts) >= 7
    private = {str(run), str(run.parent), str(tiny_data), str(exported), str(Path.home())}
    private = {name for name in private if name.count("/") > 1}  # "/root" may be a word
    for path, text in texts.items():
        for name in private:
            assert name not in text, f"{path.name} has {name}"
        if path.name != "tokenizer.json":
            assert not re.search(rf"\b{getpass.getuser()}\b", text), path.name


@pytest.mark.slow
def test_the_recipe_is_a_recipe(run: Path, exported: Path) -> None:
    recipe, own = (load_recipe(folder / "recipe.toml") for folder in (exported, run))
    assert recipe.stream.sources["pictures"].path == "pictures"
    assert recipe.stream.sources["pictures"].license == "cc-by-4.0"
    assert recipe.model == own.model
    assert recipe.training == own.training


@pytest.mark.slow
def test_the_hashes_are_of_all_other_files(exported: Path) -> None:
    lines = (exported / "SHA256SUMS").read_text().splitlines()
    hashes = {name: digest for digest, name in (line.split("  ") for line in lines)}
    files = {
        str(path.relative_to(exported)): path for path in exported.rglob("*") if path.is_file()
    }
    assert files.keys() - hashes.keys() == {"README.md", "SHA256SUMS"}
    for name, digest in hashes.items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == digest


@pytest.mark.slow
def test_the_card_tells_data_numbers_and_limits(run: Path, exported: Path) -> None:
    card = ModelCard.load(exported / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "chiasm"
    assert card.data.pipeline_tag == "any-to-any"
    assert "| pictures | image_text | 80 |" in card.text
    assert re.search(r"\| pictures \|.*\| cc-by-4.0 \|", card.text)
    assert re.search(r"\| texts \|.*\| not told \|", card.text)
    assert "data whose license is not told: texts" in card.text
    rows = json.loads((run / "report.json").read_text())["rows"]
    measured = [row for row in rows if row["num_clusters"] > 1 and row["standard_error"]]
    assert measured
    for row in measured:
        assert re.search(rf"\| {re.escape(row['section'])}: .*± .* \[.*, .*\] \|", card.text)
    assert "worse in " in card.text, "after four steps it is"
    assert 'chiasm.load("mine")' in card.text


@pytest.mark.slow
def test_a_saved_model_alone_is_exported_too(run: Path, tmp_path: Path) -> None:
    export_run(run / "model", tmp_path / "out", tell=lambda line: None)
    assert not (tmp_path / "out" / "recipe.toml").exists()
    assert "was not evaluated" in (tmp_path / "out" / "README.md").read_text()
    again = chiasm.load(tmp_path / "out").score(TEXT)
    assert again == chiasm.load(run).score(TEXT)


@pytest.mark.slow
def test_own_forms_of_tokenizers_are_told(run: Path, tmp_path: Path) -> None:
    told: list[str] = []
    export_run(run, tmp_path / "out", tell=told.append)
    assert told == [
        "stream image: autoencoder is chiasm's own (pixels): chiasm.load opens it, diffusers and "
        "transformers do not"
    ]


@pytest.mark.slow
def test_only_licenses_may_be_told(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"training\.steps = 4 there, 9 here"):
        export_run(run, tmp_path / "out", ["training.steps=9"])
    assert not (tmp_path / "out").exists()


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_what_no_export_wrote_is_left_as_it_is(run: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("mine")
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "file").touch()
    refused = {
        "notes": "it holds notes.txt",
        "run": "is itself",
        "run/model": "it holds config.json",
    }
    for name, why in {**refused, "file": "is a file"}.items():
        before = contents(tmp_path)
        with pytest.raises(UserError, match=why):
            export_run(tmp_path / "run", tmp_path / name, tell=lambda line: None)
        assert contents(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("notes.txt", "changed since it was exported: notes.txt is new"),
        ("streams/.hidden", "changed since it was exported: streams/.hidden is new"),
        ("recipe.toml", "changed since it was exported: recipe.toml is another"),
        ("README.md", "README.md has been changed .* move it away or give another folder"),
    ],
)
def test_a_changed_export_is_left_as_it_is(
    run: Path, exported: Path, tmp_path: Path, name: str, why: str
) -> None:
    out = shutil.copytree(exported, tmp_path / "out")
    with (out / name).open("a") as file:
        file.write("mine")
    before = contents(out)
    with pytest.raises(UserError, match=why):
        export_run(run, out, tell=lambda line: None)
    assert contents(out) == before


def test_an_export_is_copied_not_exported(exported: Path, tmp_path: Path) -> None:
    for model in (exported, "embedded-world"):
        with pytest.raises(UserError, match="is an export itself, with its card and numbers; copy"):
            export_run(model, tmp_path / "again", tell=lambda line: None)
    assert not (tmp_path / "again").exists()


@pytest.mark.slow
def test_an_untouched_export_is_replaced(run: Path, exported: Path, tmp_path: Path) -> None:
    out = shutil.copytree(exported, tmp_path / "out")
    with pytest.raises(UserError, match="is itself what is to be exported"):
        export_run(out, out)
    export_run(run, out, license="mit", tell=lambda line: None)
    assert ModelCard.load(out / "README.md").data.license == "mit"
    (out / "README.md").unlink()  # one that was moved away
    export_run(run, out, tell=lambda line: None)
    assert (out / "README.md").is_file()


@pytest.mark.slow
def test_the_lines_of_the_card_run(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [lines] = re.findall(r"## Use.*?```\n(.*?)```", (exported / "README.md").read_text(), re.DOTALL)
    assert 'view = model.draw("a red barn in the snow")  # picture: a red barn in the snow' in lines
    assert "model.caption(view)" in lines
    assert "model.write(" in lines
    monkeypatch.chdir(exported.parent)
    made: dict[str, object] = {}
    exec(lines, made)
    assert made["view"].size == (8, 8)
    assert capsys.readouterr().out.count("\n") >= 2


class Hub(BaseHTTPRequestHandler):
    """One repository, by the calls that the hub's own client makes."""

    protocol_version = "HTTP/1.1"
    name, commit = "ann/mine", "1" * 40

    def log_message(self, *told: object) -> None: ...

    def do_POST(self) -> None:
        body = self.body()
        path = urlsplit(self.path).path
        self.server.asked.append((path, self.headers["Authorization"]))
        if path == "/api/repos/create":
            assert json.loads(body)["name"] == "mine"
            self.answer({"url": f"http://{self.headers['Host']}/{self.name}"})
        elif path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif path == f"/api/models/{self.name}/preupload/main":
            files = [file["path"] for file in json.loads(body)["files"]]
            told = {"uploadMode": "regular", "shouldIgnore": False}
            self.answer({"files": [{"path": file, **told} for file in files]})
        elif path == f"/api/models/{self.name}/commit/main":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.server.files[line["value"]["path"]] = content
            url = f"http://{self.headers['Host']}/{self.name}/commit/{self.commit}"
            self.answer({"commitUrl": url, "commitOid": self.commit})
        else:
            self.answer({"error": path}, 404)

    def do_GET(self) -> None:
        path, files = unquote(urlsplit(self.path).path), self.server.files
        resolved = f"/{self.name}/resolve/{self.commit}/"
        if path.startswith(f"/api/models/{self.name}/tree/"):
            told = [
                {"type": "file", "path": name, "size": len(content), "oid": digest(content)}
                for name, content in files.items()
            ]
            self.answer(told)
        elif path.startswith(f"/api/models/{self.name}"):
            siblings = [{"rfilename": name} for name in files]
            self.answer({"id": self.name, "sha": self.commit, "siblings": siblings})
        elif path.startswith(resolved) and path.removeprefix(resolved) in files:
            self.answer(files[path.removeprefix(resolved)])
        else:
            self.answer({"error": path}, 404)

    do_HEAD = do_GET

    def body(self) -> bytes:
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def answer(self, content: object, status: int = 200) -> None:
        status = self.server.refuses or status
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", self.commit)
        self.send_header("ETag", f'"{digest(body)}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@pytest.fixture
def hub() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.files, server.asked, server.refuses = {}, [], 0
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.slow
def test_what_is_pushed_to_a_hub_is_loaded_by_its_name(
    run: Path, hub: ThreadingHTTPServer, tmp_path: Path
) -> None:
    """By the hub's own client, against a server that stores what it sends."""
    own = {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": "hf_word",
    }
    out = tmp_path / "out"
    pushed = fresh("-m", "chiasm", "export", str(run), str(out), "--push", "ann/mine", **own)
    assert f"it is on the hub: {own['HF_ENDPOINT']}/ann/mine" in pushed.stdout, pushed.stderr
    assert all(asker == "Bearer hf_word" for _, asker in hub.asked)
    written = {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()}
    assert hub.files.keys() == written
    assert 'chiasm.load("ann/mine")' in hub.files["README.md"].decode()
    assert scored("ann/mine", **own) == scored(run)


@pytest.mark.slow
def test_a_hub_that_is_not_there_is_one_message(run: Path, tmp_path: Path) -> None:
    own = {"HF_ENDPOINT": "http://127.0.0.1:1", "HF_TOKEN": "hf_word"}
    out = tmp_path / "out"
    ended = fresh("-m", "chiasm", "export", str(run), str(out), "--push", "ann/mine", **own)
    assert ended.returncode == 2
    assert re.match(r"chiasm: .*out is written, and cannot be pushed to 'ann/mine'", ended.stderr)
    assert "connect to the network" in ended.stderr
    assert "hf auth login" not in ended.stderr
    assert (out / "README.md").exists()


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(401, "hf auth login"), (403, "may write to ann/mine"), (400, "do as the hub says")],
)
def test_a_hub_that_refuses_says_what_to_do(
    hub: ThreadingHTTPServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    remedy: str,
) -> None:
    hub.refuses = status
    address = f"http://127.0.0.1:{hub.server_port}"
    monkeypatch.setattr("huggingface_hub.hf_api.ENDPOINT", address, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    with pytest.raises(UserError, match=remedy):
        upload(tmp_path, "ann/mine", private=False)
