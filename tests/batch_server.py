"""OpenAI's files and Batch interface on loopback, over an answer to each request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class BatchServer:
    """`looks`: how often a job says that it runs. `unanswered`: requests whose prompt has this text get no reply."""

    answer: Callable[[dict[str, Any]], str]
    looks: int = 1
    status: str = "completed"
    unanswered: str = "\0"
    files: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    base_url: str = ""

    def job(self, name: str) -> dict[str, Any]:
        job = self.jobs[name]
        job["looks"] += 1
        if job["looks"] <= self.looks:
            return self._shown(name, "in_progress")
        if "output" not in job:
            lines = [json.loads(line) for line in self.files[job["input"]].splitlines()]
            replies = [self._reply(line) for line in lines if self.unanswered not in str(line["body"])]
            job["output"] = f"file-{len(self.files)}"
            self.files[job["output"]] = "\n".join(map(json.dumps, reversed(replies))).encode()
        return self._shown(name, self.status, output_file_id=job["output"])

    def _shown(self, name: str, status: str, **more: Any) -> dict[str, Any]:
        shown = {"id": name, "object": "batch", "status": status, "endpoint": "/v1/chat/completions", "created_at": 1}
        return {**shown, "input_file_id": self.jobs[name]["input"], "completion_window": "24h", **more}

    def _reply(self, line: dict[str, Any]) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.answer(line["body"])}
        body = {"id": "1", "object": "chat.completion", "created": 1, "model": line["body"]["model"]} | {
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42},
        }
        response = {"status_code": 200, "request_id": "1", "body": body}
        return {"id": "1", "custom_id": line["custom_id"], "response": response, "error": None}


def _handler(server: BatchServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            server.paths.append(f"POST {self.path}")
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/files":
                head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
                parts: Any = message_from_bytes(head + body).get_payload()
                [data] = [
                    part.get_payload(decode=True)
                    for part in parts
                    if part.get_param("name", header="content-disposition") == "file"
                ]
                name = f"file-{len(server.files)}"
                server.files[name] = bytes(data)
                made = {"object": "file", "bytes": len(data), "created_at": 1, "filename": "a", "purpose": "batch"}
                self._send({"id": name, "status": "processed", **made})
            else:
                name = f"batch_{len(server.jobs)}"
                server.jobs[name] = {"input": json.loads(body)["input_file_id"], "looks": 0}
                self._send(server._shown(name, "validating"))

        def do_GET(self) -> None:
            server.paths.append(f"GET {self.path}")
            *_, kind, name = self.path.removesuffix("/content").split("/")
            if kind == "files":
                self._send(server.files[name])
            elif name in server.jobs:
                self._send(server.job(name))
            else:
                self._send({"error": {"message": "no such job"}}, 404)

        def _send(self, body: dict[str, Any] | bytes, status: int = 200) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


@contextmanager
def running(answer: Callable[[dict[str, Any]], str]) -> Iterator[BatchServer]:
    batches = BatchServer(answer)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(batches))
    batches.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield batches
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
