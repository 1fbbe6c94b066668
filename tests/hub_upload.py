"""The loopback hub, for those who upload small files in one commit."""

import base64
import json

from tests.hub import COMMIT, Handler, Repository

TOKEN = "hf_thisisasecret"


class UploadHandler(Handler):
    """Takes new repositories and commits from whoever shows `TOKEN`."""

    def answer(self) -> None:
        path = self.path.partition("?")[0]
        if self.command != "POST" and path != "/api/whoami-v2":
            return super().answer()
        self.hub.asked.append(f"{self.command} {path}")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.fail(401, "")
        match path.strip("/").split("/")[1:]:
            case ["whoami-v2"]:
                self.json({"name": "me", "type": "user"})
            case ["repos", "create"]:
                asked = json.loads(self.body)
                name = f"{asked['organization']}/{asked['name']}"
                self.hub.repositories[f"models/{name}"] = Repository({})
                self.json({"url": f"{self.hub.url}/{name}", "id": name})
            case ["validate-yaml"]:
                self.json({"errors": [], "warnings": []})
            case ["models", owner, name, "preupload", "main"]:
                files = [file["path"] for file in json.loads(self.body)["files"]]
                modes = {"uploadMode": "regular", "shouldIgnore": False}
                self.json({"files": [{"path": path, **modes} for path in files]})
            case ["models", owner, name, "commit", "main"]:
                self._commit(f"{owner}/{name}")

    def _commit(self, name: str) -> None:
        """Store the files of a commit, which come as one JSON object a line."""
        files = self.hub.repositories[f"models/{name}"].files
        for line in self.body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
        url = f"{self.hub.url}/{name}/commit/{COMMIT}"
        self.json({"success": True, "commitOid": COMMIT, "commitUrl": url})
