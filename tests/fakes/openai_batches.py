"""The Batch API of the endpoint on loopback: files go in, and come out answered after a look or two."""

import json
import re
from collections.abc import Callable
from typing import Any

Reply = Callable[[dict[str, Any], bool], dict[str, Any]]


class Batches:
    """Files and batches.

    Attributes:
        reply: Answers the body of one request, a chat or not.
        looks: How often a batch is looked at before it has ended.
        end: Status that a batch ends with.
        lost: Numbers of requests, in the order of a batch, that get no answer; those of the first batch alone.
        submitted: Requests of each batch, in order.
    """

    def __init__(self, reply: Reply) -> None:
        self.reply, self.looks, self.end = reply, 2, "completed"
        self.lost: set[int] = set()
        self.submitted: list[list[str]] = []
        self.files: dict[str, bytes] = {}
        self._batches: dict[str, dict[str, Any]] = {}
        self._left: dict[str, int] = {}

    def take_file(self, body: bytes) -> dict[str, Any]:
        """Keep the file of a multipart form."""
        content = re.search(rb'filename="[^"]*"\r\n(?:[^\r]+\r\n)*\r\n(.*?)\r\n--', body, re.DOTALL)
        assert content
        name = f"file-{len(self.files)}"
        self.files[name] = content[1]
        return {
            "id": name,
            "object": "file",
            "bytes": len(content[1]),
            "created_at": 1,
            "filename": "requests.jsonl",
        } | {
            "purpose": "batch",
            "status": "processed",
        }

    def submit(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Take a batch in."""
        name = f"batch_{len(self._batches)}"
        held = self.files[asked["input_file_id"]].decode().splitlines()
        self.submitted.append([json.loads(line)["custom_id"] for line in held])
        self._left[name] = self.looks
        self._batches[name] = {
            "id": name,
            "object": "batch",
            "created_at": 1,
            "status": "validating",
            **{key: asked[key] for key in ("endpoint", "input_file_id", "completion_window", "metadata")},
        }
        return self._batches[name]

    def listed(self) -> list[dict[str, Any]]:
        """All batches, the last one first."""
        return list(self._batches.values())[::-1]

    def look(self, name: str) -> dict[str, Any]:
        """A batch, which comes closer to its end."""
        made = self._batches[name]
        self._left[name] -= 1
        made["status"] = "in_progress" if self._left[name] > 0 else self.end
        if self._left[name] <= 0 and self.end == "failed":
            made["errors"] = {"object": "list", "data": [{"code": "quota", "message": "you exceeded your quota"}]}
        elif self._left[name] <= 0 and "output_file_id" not in made:
            made["output_file_id"] = f"out-{name}"
            self.files[f"out-{name}"] = b"\n".join(self._answers(made))
            self.lost = set()
        return made

    def _answers(self, made: dict[str, Any]) -> list[bytes]:
        lines = []
        for number, line in enumerate(self.files[made["input_file_id"]].decode().splitlines()):
            if number not in self.lost:
                held = json.loads(line)
                body = self.reply(held["body"], held["url"].endswith("/chat/completions"))
                answer = {"custom_id": held["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}
                lines.append(json.dumps(answer).encode())
        return lines[::-1]  # in no order, as the real one says
