"""A Pulumi language host for Python programs: the process through which the engine runs the project's `__main__.py`.

The official host is not on the Go module proxy, so this one serves the few calls that a plain Python program needs.
The protocol is `pulumirpc.LanguageRuntime` (pulumi/sdk, proto/pulumi/language.proto). The CLI starts the host with the
engine's address as last argument, reads the port to talk to from the first line of its standard output, and starts it
twice for each `pulumi up`: once to describe the project, once to run it. So only gRPC is imported before `Run`: all
answers but that of `Run` and `About` are the empty message, which is no bytes at all, and need no protobuf classes.

What it does that a naive host does not:
- It dies at once on SIGINT, SIGTERM, `Cancel` and when the CLI is gone, so that Ctrl-C costs no five seconds of waiting
  and a killed CLI leaves no process behind.
- A program that fails is reported exactly once: `pulumi.RunError` as its text alone, any other exception with one
  traceback that begins in the program. The engine is then told to bail, which keeps it from adding a message of its own.
"""

# ruff: noqa: PLC0415  importing pulumi takes longer than all else together, and only a run needs it

from __future__ import annotations

import asyncio
import logging
import os
import runpy
import signal
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from types import FrameType, TracebackType

_EMPTY = b""  # the protobuf encoding of a message whose fields all have their defaults
_ANSWERED_WITH_NOTHING = (
    "Handshake",
    "GetPluginInfo",
    "GetRequiredPlugins",
    "GetRequiredPackages",
    "GetProgramDependencies",
    "RuntimeOptionsPrompts",
)
_LARGEST_MESSAGE = 400 * 1024 * 1024  # bytes; what the engine itself uses
_SECONDS_TO_SEND_AN_ANSWER = 0.05
_SECONDS_BETWEEN_LOOKS_AT_THE_PARENT = 0.25


def main() -> None:
    """Serve the engine until it cancels, signals or disappears."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    parent = os.getppid()
    server = grpc.server(ThreadPoolExecutor(max_workers=8), options=[("grpc.max_receive_message_length", _LARGEST_MESSAGE)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("pulumirpc.LanguageRuntime", _handlers()),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # what the program prints shows as it goes
    print(port, flush=True)  # noqa: T201  the engine reads this line
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS_AT_THE_PARENT)
    os._exit(0)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End without waiting for the program's threads: a gate may sit in one of them for minutes."""
    os._exit(0)


def _handlers() -> dict[str, Any]:
    handlers = {name: grpc.unary_unary_rpc_method_handler(_nothing) for name in _ANSWERED_WITH_NOTHING}
    for name, answer in (("Cancel", _cancel), ("About", _about), ("Run", _run)):
        handlers[name] = grpc.unary_unary_rpc_method_handler(answer)
    return handlers


def _nothing(_request: bytes, _context: grpc.ServicerContext) -> bytes:
    return _EMPTY


def _cancel(_request: bytes, _context: grpc.ServicerContext) -> bytes:
    threading.Timer(_SECONDS_TO_SEND_AN_ANSWER, os._exit, (0,)).start()
    return _EMPTY


def _bytes_of(message: Any) -> bytes:  # noqa: ANN401  the generated classes of pulumi have no types
    return bytes(message.SerializeToString())


def _about(_request: bytes, _context: grpc.ServicerContext) -> bytes:
    from pulumi.runtime.proto import language_pb2

    version = ".".join(str(part) for part in sys.version_info[:3])
    return _bytes_of(language_pb2.AboutResponse(executable=sys.executable, version=version))


def _run(raw: bytes, _context: grpc.ServicerContext) -> bytes:
    """Run the program; an answer with `bail` says that it failed and that the failure is already reported."""
    from pulumi import log
    from pulumi.runtime import reset_options, set_all_config
    from pulumi.runtime.proto import language_pb2

    request = language_pb2.RunRequest.FromString(raw)
    reset_options(
        project=request.project,
        stack=request.stack,
        organization=request.organization or "organization",
        monitor_address=request.monitor_address,
        engine_address=sys.argv[-1],
        parallel=request.parallel,
        preview=request.dryRun,
    )
    if request.config:
        set_all_config(request.config, request.configSecretKeys or None)
    program = str(Path(request.info.program_directory or request.pwd or ".").resolve())
    try:
        _run_program(program, request.parallel)
    except BaseException as failure:  # noqa: BLE001  whatever ends the program, SystemExit included, is reported the same way
        message = _report_of(failure, program)
        if message:
            log.error(message)
        return _bytes_of(language_pb2.RunResponse(bail=True))
    return _EMPTY


def _run_program(program: str, parallel: int) -> None:
    """Run `__main__.py` of the directory `program` as a Pulumi stack, and wait for all that it started."""
    from pulumi.runtime import run_in_stack

    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # else every task that failed after the first is printed as "never retrieved"

    def execute() -> None:
        runpy.run_path(str(Path(program) / "__main__.py"), run_name="__main__")

    os.chdir(program)
    sys.path[0] = program  # in place of the directory of this file
    sys.argv = [program]
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(max_workers=max(parallel, 1) * 4))
    try:
        loop.run_until_complete(run_in_stack(execute))
    finally:
        loop.run_until_complete(_drain())
        loop.close()
        sys.stdout.flush()
        sys.stderr.flush()


async def _drain() -> None:
    """Cancel what a failed program left running; its outcome no longer matters."""
    pending = asyncio.all_tasks() - {asyncio.current_task()}
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


def _report_of(failure: BaseException, program: str) -> str:
    """What to tell the user about a failed program; empty when the engine itself ended it and says so already."""
    from pulumi import RunError

    if isinstance(failure, RunError):
        return str(failure)
    if isinstance(failure, grpc.RpcError):
        if failure.code() == grpc.StatusCode.UNAVAILABLE:  # the engine has gone first
            return ""
        return f"the engine refused a request of the program: {failure.details()}"
    own = failure.with_traceback(_from_program_on(failure.__traceback__, program))
    return "the program failed:\n" + "".join(traceback.format_exception(own)).rstrip()


def _from_program_on(trace: TracebackType | None, program: str) -> TracebackType | None:
    """The part of a traceback that begins in the program; all of it when it never gets there."""
    step = trace
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if file.startswith(program + os.sep) and not file.startswith(sys.prefix + os.sep):  # the environment may lie in the project
            return step
        step = step.tb_next
    return trace


if __name__ == "__main__":
    main()
