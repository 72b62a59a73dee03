"""Batch API of the fake OpenAI server: batches complete after a few status requests."""

import json
import re
from collections.abc import Callable
from typing import Any

Complete = Callable[[dict[str, Any], bool], dict[str, Any]]


class Batches:
    """Files and batches.

    Attributes:
        complete: Function that returns the response to a request body; its second argument states whether it is a chat.
        polls: Number of status requests until a batch ends.
        final_status: Final status of batches.
        lost_requests: Indices of the requests in the next batch that get no result.
        submitted_ids: Ids of the requests in each batch.
    """

    def __init__(self, complete: Complete) -> None:
        self.complete, self.polls, self.final_status = complete, 2, "completed"
        self.lost_requests: set[int] = set()
        self.submitted_ids: list[list[str]] = []
        self.files: dict[str, bytes] = {}
        self._batches: dict[str, dict[str, Any]] = {}
        self._remaining_polls: dict[str, int] = {}

    def store_file(self, body: bytes) -> dict[str, Any]:
        """Store the file of a multipart form."""
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

    def submit(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Create a batch."""
        name = f"batch_{len(self._batches)}"
        lines = self.files[payload["input_file_id"]].decode().splitlines()
        self.submitted_ids.append([json.loads(line)["custom_id"] for line in lines])
        self._remaining_polls[name] = self.polls
        self._batches[name] = {
            "id": name,
            "object": "batch",
            "created_at": 1,
            "status": "validating",
            **{key: payload[key] for key in ("endpoint", "input_file_id", "completion_window", "metadata")},
        }
        return self._batches[name]

    def newest_first(self) -> list[dict[str, Any]]:
        """Return all batches, newest first."""
        return list(self._batches.values())[::-1]

    def poll(self, name: str) -> dict[str, Any]:
        """Return a batch, and advance it towards its final status."""
        batch = self._batches[name]
        self._remaining_polls[name] -= 1
        batch["status"] = "in_progress" if self._remaining_polls[name] > 0 else self.final_status
        if self._remaining_polls[name] <= 0 and self.final_status == "failed":
            batch["errors"] = {"object": "list", "data": [{"code": "quota", "message": "you exceeded your quota"}]}
        elif self._remaining_polls[name] <= 0 and "output_file_id" not in batch:
            batch["output_file_id"] = f"out-{name}"
            self.files[f"out-{name}"] = b"\n".join(self._results(batch))
            self.lost_requests = set()
        return batch

    def _results(self, batch: dict[str, Any]) -> list[bytes]:
        lines = []
        for number, line in enumerate(self.files[batch["input_file_id"]].decode().splitlines()):
            if number not in self.lost_requests:
                request = json.loads(line)
                body = self.complete(request["body"], request["url"].endswith("/chat/completions"))
                response = {"status_code": 200, "body": body}
                result = {"custom_id": request["custom_id"], "response": response, "error": None}
                lines.append(json.dumps(result).encode())
        return lines[::-1]  # the real API does not guarantee an order either
