"""Keys and passwords of every character, and every way by which one could get out."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import logging
import os
import pickle
import random
import re
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from sqlalchemy import make_url

import bad_provider as habits
from bad_provider import Handler, serving
from embedpipe import Database, EmbeddingGenerator
from embedpipe._private import harmless_environment
from embedpipe._providers import Endpoint, Secret, hidden, words
from embedpipe.answering.chat import OpenAIChat
from embedpipe.embedding import CohereModel, FileCache, Limits, OpenAIModel, RateLimiter, RedisCache, Retry
from embedpipe.errors import ConfigurationError, EmbedPipeError, StorageError
from embedpipe.metrics import EmbeddingMetrics
from embedpipe.storage.admin import pg_dump
from embedpipe.storage.embedded.server import embedded_url, stop_embedded
from provider_habits import CLIENTS, EMBEDDINGS, Client, messages
from soaking import scaled

ROUNDS = scaled(4, 80)
ONCE = Retry(attempts=1)
MARKS = " @/%+'\"\\:?#[]&=;,$`~!<>{}|^()*"
LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
FARTHER = "\u00e9\u00df\u0416\u4e2d\U0001f600\t\n\r\x1b\x7f"


def made(chance: random.Random, *, marks: str = MARKS + FARTHER) -> str:
    """A secret in which each mark may stand, with letters enough to be told from anything else."""
    letters = chance.choices(LETTERS, k=10) + chance.choices(marks, k=6)
    chance.shuffle(letters)
    return "zQ" + "".join(letters) + "7x"


def leaks(text: str, secret: str, *, name: str = "app") -> bool:
    """Whether the text holds the secret in some form, or a part of it that is long enough to be no chance."""
    forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1]}
    forms |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    forms |= {base64.b64encode(each.encode()).decode() for each in (secret, f"{name}:{secret}")}
    parts = "".join(char if char in LETTERS else " " for char in secret).split()
    forms |= {part for part in parts if len(part) >= 6}
    return any(form in text or form in text.replace("\\\\", "\\") for form in forms)


def shown(error: BaseException) -> str:
    """What a log and a crash show of an error, and what travels with it."""
    return "".join(traceback.format_exception(error)) + repr(error) + str(error.__dict__) + pickled(error)


def pickled(thing: object) -> str:
    return pickle.dumps(thing).decode("utf-8", "replace")


def everything_of(thing: Any) -> str:
    """What a component shows, and what travels of it."""
    return repr(thing) + str(thing) + repr(vars(thing)) + pickled(thing) + pickled(copy.deepcopy(thing))


@contextmanager
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """All that is logged meanwhile, by whatever library."""
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        yield lambda: caplog.text + repr([vars(record) for record in caplog.records])


def raised(call: Callable[[], Any]) -> str:
    """What the call shows of its error, which is one of ours; else the text that it returns."""
    try:
        got = call()
    except EmbedPipeError as error:
        return shown(error)
    return got if isinstance(got, str) else ""


def whole(thing: Any, ask: Callable[[Any], Any]) -> str:
    """What a component shows that could be made of a doubtful URL, and what asking it shows."""
    return repr(thing) + raised(lambda: ask(thing))


# Providers: the key, and a login in `base_url`.


def _tell_all(handler: Handler, body: dict[str, Any], texts: list[str]) -> None:
    """A provider that quotes whatever it was sent, its own address with it."""
    said = {"error": {"message": f"refused: {dict(handler.headers)} at {handler.path}"}}
    handler.send_json(said, status=handler.provider.status)  # type: ignore[attr-defined]


def _generator(url: str | None, key: str, **settings: Any) -> EmbeddingGenerator:
    return EmbeddingGenerator(OpenAIModel("m", base_url=url, api_key=key, dimensions=3, **settings), retry=ONCE)


every_client = pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)


def _with_login(origin: str, password: str) -> str:
    return origin.replace("://", f"://app:{quote(password, safe='')}@")


@every_client
def test_a_key_and_a_login_show_nowhere(
    client: Client, chance: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    for place in range(ROUNDS):
        key, password = made(chance, marks=MARKS.replace(" ", "")), made(chance)
        with serving(_tell_all) as provider, logged(caplog) as log:
            provider.status = (401, 400, 500, 429, 404, 307)[place % 6]  # type: ignore[attr-defined]
            thing = client.made(_with_login(provider.origin, password), key=key)
            out = raised(lambda: client.ask(thing)) + everything_of(thing)  # noqa: B023 - called at once
            assert out
            login = base64.b64encode(f"app:{password}".encode()).decode()
            assert provider.headers[0]["authorization"] == f"Basic {login}"  # as it was meant
            dead = client.made(_with_login("http://127.0.0.1:1", password), key=key)
            out += raised(lambda: client.ask(dead)) + log()  # noqa: B023
        for secret in (key, password):
            assert not leaks(out, secret)


@every_client
def test_a_retry_is_logged_without_the_key(
    client: Client, chance: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    key, password = made(chance, marks=MARKS.replace(" ", "")), made(chance)
    with serving(_tell_all) as provider, logged(caplog) as log:
        provider.status = 500  # type: ignore[attr-defined]
        thing = client.made(_with_login(provider.origin, password), key=key, retries=1)
        out = raised(lambda: client.ask(thing)) + log()
        assert len(provider.requests) == 2
    assert "retry_scheduled" in out
    for secret in (key, password):
        assert not leaks(out, secret)


@every_client
def test_a_base_url_that_cannot_be_read_is_not_quoted(client: Client, chance: random.Random) -> None:
    """The secret stands in it as it is, so that it ends the host, the path or the port at any place."""
    for _ in range(scaled(30, 300)):
        secret = made(chance)
        for url in (
            f"http://app:{secret}@127.0.0.1:1",
            f"http://{secret}@127.0.0.1:1",
            f"http://127.0.0.1:1/?key={secret}",
        ):
            out = raised(lambda: whole(client.made(url, key="a-plain-key"), client.ask))  # noqa: B023
            assert not leaks(out, secret)


@every_client
@pytest.mark.parametrize("mark", ["\n", "\r\nX-Other: 1", "\x00", "\u00e9", "\u4e2d", "\x7f"])
def test_a_key_that_no_header_takes_is_not_quoted(client: Client, mark: str, chance: random.Random) -> None:
    key = f"{made(chance, marks='-_')}{mark}{made(chance, marks='-_')}"
    with serving(habits.good) as provider:
        out = raised(lambda: client.ask(client.made(provider.origin, key=key)))
        assert not provider.requests
    assert out
    assert not leaks(out, key)


def test_a_login_from_the_environment_is_used_and_shows_nowhere(
    chance: random.Random, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    password = made(chance)
    variables = {"OPENAI_BASE_URL": "/v1", "AZURE_OPENAI_ENDPOINT": "", "CO_API_URL": ""}
    with serving(habits.good) as provider, logged(caplog) as log:
        for name, path in variables.items():
            monkeypatch.setenv(name, _with_login(provider.origin, password) + path)
        makers: dict[str, Callable[[], EmbeddingGenerator]] = {
            "openai": lambda: _generator(None, "sk-0123456789"),
            "azure": lambda: _generator(None, "sk-0123456789", api_version="2024-10-21"),
            "cohere": lambda: EmbeddingGenerator(CohereModel("own-model", api_key="sk-0123456789")),
        }
        for name, make in makers.items():
            provider.habit = EMBEDDINGS[name].habit
            generator = make()
            generator.generate("a")
            login = base64.b64encode(f"app:{password}".encode()).decode()
            assert provider.headers[-1]["authorization"] == f"Basic {login}"
            assert not leaks(everything_of(generator) + log(), password)


def test_no_key_travels_with_a_frameworks_component(chance: random.Random) -> None:
    from langchain_core.load import dumps

    from embedpipe.langchain import EmbedPipeEmbeddings
    from embedpipe.llama_index import EmbedPipeEmbedding

    for _ in range(ROUNDS):
        key, password = made(chance, marks=MARKS.replace(" ", "")), made(chance)
        url = _with_login("http://127.0.0.1:1/v1", password)
        generator = EmbeddingGenerator("text-embedding-3-small", base_url=url, api_key=key)
        for_llama, for_langchain = EmbedPipeEmbedding(generator), EmbedPipeEmbeddings(generator)
        out = json.dumps(for_llama.to_dict()) + for_llama.to_json() + repr(for_llama) + dumps(for_langchain)
        out += repr(for_langchain) + pickled(for_langchain) + pickled(for_llama) + repr(generator.source)
        assert not leaks(out, key)
        assert not leaks(out, password)


def test_headers_of_ones_own_do_not_travel_with_a_chat_model(chance: random.Random) -> None:
    secret = made(chance, marks=MARKS.replace(" ", ""))
    with serving(_tell_all) as provider:
        provider.status = 400  # type: ignore[attr-defined]
        url = f"{provider.origin}/v1"
        chat = OpenAIChat("m", base_url=url, api_key="sk-0123456789", extra_headers={"x-key": secret}, max_retries=0)
        out = raised(lambda: chat.complete(messages())) + pickled(chat) + repr(chat)
        assert provider.headers[0]["x-key"] == secret
    assert not leaks(out, secret)


def test_spans_and_metrics_hold_no_secret(chance: random.Random) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from embedpipe.metrics import OpenTelemetryObserver

    key, password = made(chance, marks=MARKS.replace(" ", "")), made(chance)
    spans, reader, summary = InMemorySpanExporter(), InMemoryMetricReader(), EmbeddingMetrics()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    observer = OpenTelemetryObserver(
        tracer_provider=tracers, meter_provider=MeterProvider(metric_readers=[reader]), capture_text=True
    )
    with serving(_tell_all) as provider:
        provider.status = 400  # type: ignore[attr-defined]
        model = OpenAIModel("m", base_url=_with_login(provider.origin, password), api_key=key, dimensions=3)
        generator = EmbeddingGenerator(model, retry=ONCE, metrics=[observer, summary])
        raised(lambda: generator.generate("a text"))
    out = "".join(span.to_json() for span in spans.get_finished_spans()) + str(reader.get_metrics_data())
    assert "embed.request" in out
    for secret in (key, password):
        assert not leaks(out + str(summary.summary()), secret)


# Databases.


@pytest.mark.parametrize("place", ["password", "password in the query", "sslpassword"])
def test_a_databases_password_shows_nowhere(
    place: str, chance: random.Random, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    for _ in range(ROUNDS):
        secret = made(chance)
        where = place.partition(" in the ")[0]
        url = (
            f"postgresql://app:{quote(secret, safe='')}@127.0.0.1:1/db"
            if place == "password"
            else f"postgresql://app@127.0.0.1:1/db?{where}={quote(secret, safe='')}"
        )
        with logged(caplog) as log:
            database = Database(url)
            out = raised(database.collections) + raised(lambda: asyncio.run(database.acollections()))  # noqa: B023
            out += raised(lambda: database.dump(tmp_path / "copy.sql"))  # noqa: B023
            out += raised(lambda: pickle.dumps(database))  # noqa: B023
            out += repr(database) + repr(vars(database)) + repr(database.engine) + str(database.engine.url) + log()
        assert "127.0.0.1" in out
        assert not leaks(out, secret), out


@pytest.mark.parametrize("place", ["{}@127.0.0.1", "127.0.0.1:{}", "127.0.0.1"])
@pytest.mark.parametrize("secret", ["zQ9?$: *fhs4PVa=fE7x", "ab?cdefgh=ijkl", "x?yzzy=y7Zq&k=v"])
def test_a_password_with_a_question_mark_is_not_quoted(place: str, secret: str) -> None:
    out = raised(lambda: Database(f"postgresql://app:{place.format(secret)}/db"))
    assert not any(part in out for part in re.split(r"[?=&]", secret) if len(part) > 3)


def test_a_misspelt_option_of_a_database_url_is_told() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean sslmode"):
        Database("postgresql://127.0.0.1/db?sslmod=require")


def test_a_database_url_that_cannot_be_read_is_not_quoted(chance: random.Random) -> None:
    for _ in range(scaled(50, 3000)):
        secret = made(chance)
        for url in (
            f"postgresql://app:{secret}@127.0.0.1:1/db",
            f"postgresql://a/p:{secret}@127.0.0.1:1/db",
            f"postgresql://app:x%00{quote(secret)}@127.0.0.1:1/db",
            f"postgresql://127.0.0.1:{secret}/db",
            f"host=127.0.0.1 port=1 password={secret}",
            f"mysql://app:{secret}@127.0.0.1/db",
        ):
            out = raised(lambda: Database(url))  # noqa: B023
            assert not leaks(out, secret), out


def test_a_character_that_would_cut_the_address_off_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Database("postgresql://app:a%00b@127.0.0.1:1/db")


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The arguments and the environment of the real pg_dump, as others and as its user see them."""
    script, record = tmp_path / "pg_dump", tmp_path / "record"
    record.mkdir()
    script.write_text(
        f"#!{sys.executable} -IS\n"
        "import os, shutil, sys\n"
        f"shutil.copy('/proc/self/cmdline', {str(record / 'arguments')!r})\n"
        f"shutil.copy('/proc/self/environ', {str(record / 'environment')!r})\n"
        "if service := os.environ.get('PGSERVICEFILE'):\n"
        f"    shutil.copy2(service, {str(record / 'service')!r})\n"
        f"real = {pg_dump._pg_dump()!r}\n"
        "os.execv(real, [real, *sys.argv[1:]])\n",
        encoding="utf-8",
    )
    script.chmod(0o755)
    monkeypatch.setattr(pg_dump, "_pg_dump", lambda: str(script))
    return record


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at processes as Linux shows them")
def test_pg_dump_gets_the_password_where_nobody_else_sees_it(
    recorded: Path, chance: random.Random, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-program")
    for _ in range(ROUNDS):
        password = made(chance)
        passphrase = made(chance, marks=MARKS)
        url = make_url(database_url).set(password=password).update_query_dict({"sslpassword": passphrase})
        Database(url.render_as_string(hide_password=False)).dump(tmp_path / "copy.sql")  # the server trusts its socket
        assert "CREATE SCHEMA" in (tmp_path / "copy.sql").read_text()
        arguments = (recorded / "arguments").read_bytes().decode()
        environment = (recorded / "environment").read_bytes().split(b"\0")
        assert not leaks(arguments, password)
        assert not leaks(arguments, passphrase)
        assert f"PGPASSWORD={password}".encode() in environment
        assert not any(b"sk-of-another-program" in each for each in environment)
        service = recorded / "service"
        assert f"sslpassword={passphrase}\n" in service.read_text("utf-8")
        assert stat.S_IMODE(service.stat().st_mode) == 0o600


def test_what_pg_dump_cannot_be_handed_is_refused_by_name(tmp_path: Path) -> None:
    for passphrase in ("ends with a space ", "two\nlines"):
        database = Database(f"postgresql://app@127.0.0.1:1/db?sslpassword={quote(passphrase)}")
        with pytest.raises(ConfigurationError, match="sslpassword") as caught:
            database.dump(tmp_path / "copy.sql")
        assert passphrase not in shown(caught.value)
    with pytest.raises(StorageError, match="pg_dump failed"):
        Database("postgresql://app@127.0.0.1:1/db").dump(tmp_path / "copy.sql")
    assert not list(tmp_path.iterdir())


COMMANDS = [
    ["db", "dump", "copy.sql"],
    ["search", "a question", "--json"],
    ["db", "collections", "--json"],
    ["doctor", "--json"],
    ["serve", "--port", "0", "--json"],
]


@pytest.mark.parametrize("arguments", scaled(COMMANDS[:2], COMMANDS), ids=" ".join)
def test_the_command_line_shows_no_password(arguments: list[str], chance: random.Random, tmp_path: Path) -> None:
    secret = made(chance)
    url = f"postgresql://app:{quote(secret, safe='')}@127.0.0.1:1/db"
    for given, variables in ((["--database", url], {}), ([], {"EMBEDPIPE_DATABASE_URL": url})):
        done = subprocess.run(
            [sys.executable, "-m", "embedpipe", *arguments, *given],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=240,
            env={**os.environ, "PYTHONPATH": ":".join(sys.path), **variables},
        )
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr
        assert not leaks(done.stdout + done.stderr, secret)


def test_the_help_shows_no_value_of_the_environment(chance: random.Random) -> None:
    secret = made(chance, marks="-_")
    done = subprocess.run(
        [sys.executable, "-m", "embedpipe", "search", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path), "EMBEDPIPE_DATABASE_URL": f"postgresql://u:{secret}@h/d"},
    )
    assert "EMBEDPIPE_DATABASE_URL" in done.stdout
    assert not leaks(done.stdout + done.stderr, secret)


# Redis.


def test_a_password_of_redis_shows_nowhere(chance: random.Random, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(ROUNDS):
        secret = made(chance)
        encoded = quote(secret, safe="")
        for url in (f"redis://:{encoded}@127.0.0.1:1/0", f"redis://127.0.0.1:1/0?password={encoded}"):
            cache = RedisCache(url)
            with serving(habits.good) as provider, logged(caplog) as log:
                model = OpenAIModel("m", base_url=f"{provider.origin}/v1", api_key="sk-0123456789", dimensions=3)
                generator = EmbeddingGenerator(model, cache=cache)
                generator.generate("a text")  # the cache cannot be reached, which is logged
                out = log() + repr(cache) + repr(generator) + raised(lambda: pickle.dumps(cache))  # noqa: B023
            assert "cannot be read" in out
            assert not leaks(out, secret)
    pickle.loads(pickle.dumps(RedisCache("redis://127.0.0.1:1/0")))  # noqa: S301 - made here


def test_a_redis_url_that_cannot_be_read_is_not_quoted(chance: random.Random) -> None:
    for _ in range(scaled(50, 3000)):
        secret = made(chance)
        for url in (
            f"redis://app:{secret}@127.0.0.1:1/0",
            f"redis://127.0.0.1:{secret}/0",
            f"redis://127.0.0.1:1/0?socket_timeout={secret}",
        ):
            out = raised(lambda: whole(RedisCache(url), pickle.dumps))  # noqa: B023
            assert not leaks(out, secret)


# Files and other programs.


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_caches_and_limiters_files_are_this_users_alone(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        cache = FileCache(tmp_path / "new" / "cache")
        cache.put_many([(b"k" * 32, b"value")])
        RateLimiter(Limits(shared=tmp_path / "other" / "limits")).reserve(1)
    finally:
        os.umask(before)
    made = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in made} == {"data.mdb", "lock.mdb", "limits"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}
    folders = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_files_of_an_older_version_are_closed_and_shared_ones_left(tmp_path: Path) -> None:
    for name, mode, after in (("old", 0o644, 0o600), ("shared", 0o664, 0o664)):
        folder = tmp_path / name
        cache = FileCache(folder)
        cache.put_many([(b"k" * 32, b"value")])
        cache.close()
        del cache
        RateLimiter(Limits(shared=folder / "limits"))
        for path in folder.iterdir():
            path.chmod(mode)
        FileCache(folder).put_many([(b"l" * 32, b"value")])
        RateLimiter(Limits(shared=folder / "limits")).reserve(1)
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {after}


def test_other_programs_get_no_keys(chance: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = made(chance, marks="-_")
    for name in (
        "OPENAI_API_KEY",
        "CO_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "HF_TOKEN",
        "EMBEDPIPE_API_KEYS",
        "DB_PASSWORD",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ):
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("EMBEDPIPE_DATABASE_URL", f"postgresql://app:{secret}@host/db")
    monkeypatch.setenv("HTTPS_PROXY", f"http://app:{secret}@proxy:3128")
    monkeypatch.setenv("LANG", "C.UTF-8")
    environment = harmless_environment()
    assert secret not in repr(environment)
    assert environment["LANG"] == "C.UTF-8"
    assert environment["PATH"] == os.environ["PATH"]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at processes as Linux shows them")
def test_the_embedded_server_gets_no_keys(server_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-first-who-came")
    embedded_url(server_folder)
    try:
        children = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
        seen = 0
        for path in children:
            try:
                arguments, environment = ((path / name).read_bytes() for name in ("cmdline", "environ"))
            except OSError:
                continue
            if str(server_folder).encode() in arguments and int(path.name) != os.getpid():
                seen += 1
                assert b"sk-of-the-first-who-came" not in environment
        assert seen
    finally:
        stop_embedded(server_folder)


# What the rest stands on.


def test_a_secret_that_got_out_is_seen(chance: random.Random) -> None:
    secret = made(chance)
    login = base64.b64encode(f"app:{secret}".encode()).decode()
    for form in (secret, quote(secret, safe=""), quote_plus(secret), repr({"a": secret}), json.dumps([secret]), login):
        assert leaks(f"some text with {form} in it", secret)
    assert leaks(pickled({"password": secret}), secret)


def test_every_form_of_a_secret_is_hidden(chance: random.Random) -> None:
    for _ in range(scaled(300, 20_000)):
        secret = made(chance)
        text = " | ".join(
            [secret, quote(secret), quote(secret, safe=""), quote_plus(secret), repr(secret), json.dumps(secret)]
        )
        assert not leaks(hidden(text, [secret]), secret)
        assert not leaks(words({"error": text}, secrets=[secret]), secret)
        assert not leaks(words(json.dumps({"error": "x" * chance.randrange(400) + secret}), secrets=[secret]), secret)


def test_a_login_is_read_as_it_was_written(chance: random.Random) -> None:
    for _ in range(scaled(300, 20_000)):
        name, password = made(chance, marks=MARKS + "\u00e9\u4e2d"), made(chance)
        url = f"https://{quote(name, safe='')}:{quote(password, safe='')}@host.example:8443/v1"
        endpoint = Endpoint(url, variable="NONE")
        assert endpoint.resolved() == ("https://host.example:8443/v1", (name, password))
        assert not leaks(everything_of(endpoint), password)
        secret = Secret.of(password, variable="NONE")
        assert not leaks(repr(secret) + pickled(secret) + str(asdict(secret)), password)
