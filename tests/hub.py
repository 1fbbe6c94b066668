"""A hub on the loopback: repositories served the way huggingface_hub and datasets ask for them.

Only what the two libraries ask for when they download is answered. A repository may be gated, and
a file may be cut off, so that the real client's errors are met.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tests.conftest import ROOT

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repository:
    """The files of one repository at its only commit."""

    files: dict[str, bytes]
    # The status (401 or 403) that its files are refused with; a gated description is public.
    gated: int | None = None
    cut: set[str] = field(default_factory=set)  # files of which only the first half is sent
    # Files of which the first half is sent, and then nothing until `Hub.go_on` is set.
    held: set[str] = field(default_factory=set)


@dataclass
class Hub:
    """The repositories by kind and id, such as ``datasets/llm-blender/Unified-Feedback``."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)

    def environment(self, folder: Path) -> dict[str, str]:
        """Return the environment of a process for which this hub is the only one."""
        # What is set for the developer's own use of the hub, a token among it, stays out.
        own = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TRANSFORMERS_"))}
        return own | {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(folder / "hf"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DOWNLOAD_TIMEOUT": "2",
            "HF_HUB_ETAG_TIMEOUT": "2",
            "NO_PROXY": "127.0.0.1",
            "OMP_NUM_THREADS": "1",
        }

    def start(self, folder: Path, *arguments: str) -> subprocess.Popen:
        """Start ``python -m`` with ``arguments`` in the root, with this hub as the only one."""
        command = [sys.executable, "-m", *arguments]
        return subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(folder),
        )

    def run(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
        """Run it to its end."""
        process = self.start(folder, *arguments)
        printed = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, *printed)


@contextmanager
def serve(handler: type["Handler"] | None = None) -> Iterator[Hub]:
    """Serve a hub, empty at first, on a free port.

    Args:
        handler: answers more than `Handler` does.
    """
    hub = Hub()
    answering = type("Answering", (handler or Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), answering)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    """Answers downloads."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments) -> None:
        """Nothing: the tests look at `Hub.asked`."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer()

    def answer(self) -> None:
        path = self.path.partition("?")[0]
        self.hub.asked.append(f"{self.command} {path}")
        found = re.fullmatch(r"(/api)?/(?:(datasets|models)/)?([^/]+/[^/]+)(?:/(.*))?", path)
        api, kind, name, rest = found.groups() if found else (None, None, None, None)
        repository = self.hub.repositories.get(f"{kind or 'models'}/{name}")
        if repository is None:
            self.fail(401, "RepoNotFound")  # to one who is not logged in
        elif not api:
            self._file(repository, *(rest or "").split("/", 2)[1:])
        else:
            self._api(repository, name, *(rest or "revision/main").split("/", 2))

    def _api(
        self, repository: Repository, name: str, what: str, commit: str, path: str = ""
    ) -> None:
        if commit not in ("main", COMMIT):
            self.fail(404, "RevisionNotFound")
        elif what == "revision":
            siblings = [{"rfilename": file} for file in repository.files]
            about = {"id": name, "sha": COMMIT, "private": False, "gated": bool(repository.gated)}
            self.json(about | {"siblings": siblings, "tags": [], "downloads": 0})
        elif what == "tree":
            self.json(
                _tree(
                    repository.files,
                    f"{path}/" if path else "",
                    "recursive=true" in self.path.lower(),
                )
            )
        elif what == "paths-info":
            asked = json.loads(self.body)["paths"]
            self.json([_entry(f, d) for f, d in repository.files.items() if f in asked])
        else:
            self.fail(404, "EntryNotFound")

    def _file(self, repository: Repository, commit: str = "", path: str = "") -> None:
        if repository.gated:
            self.fail(repository.gated, "GatedRepo")
        elif commit not in ("main", COMMIT):
            self.fail(404, "RevisionNotFound")
        elif path not in repository.files:
            self.fail(404, "EntryNotFound")
        else:
            data = repository.files[path]
            etag = f'"{hashlib.sha256(data).hexdigest()}"'
            held = path in repository.held and not self.hub.go_on.is_set()
            cut = held or path in repository.cut
            self._send(data, cut, {"ETag": etag, "X-Repo-Commit": COMMIT})
            if held and self.command == "GET":
                self.hub.go_on.wait(60)

    def json(self, value) -> None:
        self._send(json.dumps(value).encode(), False, {"Content-Type": "application/json"})

    def _send(self, data: bytes, cut: bool, headers: dict[str, str]) -> None:
        self.send_response(200)
        for key, value in (headers | {"Content-Length": str(len(data))}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if cut else data)
            self.close_connection = cut

    def fail(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def parquet(rows: list[dict], schema: pa.Schema | None = None) -> bytes:
    """Return the bytes of a parquet file."""
    data = BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), data)
    return data.getvalue()


def card(**splits: dict[str, str]) -> bytes:
    """A README whose head maps configurations and splits to files, as the real ones do."""
    configs = [
        {
            "config_name": name,
            "data_files": [{"split": split, "path": path} for split, path in files.items()],
        }
        for name, files in splits.items()
    ]
    return f"---\nlicense: mit\n{yaml.safe_dump({'configs': configs})}---\n# Card\n".encode()


def _tree(files: dict[str, bytes], folder: str, recursive: bool) -> list[dict]:
    """List the files below ``folder``; where not ``recursive``, its own files and folders."""
    inside = {path: data for path, data in files.items() if path.startswith(folder)}
    deeper = {path for path in inside if "/" in path.removeprefix(folder) and not recursive}
    names = {folder + path.removeprefix(folder).partition("/")[0] for path in deeper}
    found = [_entry(path, data) for path, data in inside.items() if path not in deeper]
    return found + [{"type": "directory", "path": name, "oid": "0" * 40} for name in sorted(names)]


def _entry(path: str, data: bytes) -> dict:
    return {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
