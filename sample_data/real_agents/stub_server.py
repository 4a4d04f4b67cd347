"""A model server on loopback that answers real coding agents from a script, in three companies' formats.

It speaks OpenAI's Responses and chat completions and Gemini's generateContent, streamed or whole.
What it says depends on the last question alone, so every run of an agent gets the same answers.
"""

from __future__ import annotations

import argparse
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from scripted import TITLE, Answer, Json, Usage, answer_to, arguments_for, filler

if TYPE_CHECKING:
    from collections.abc import Iterator


def _plain(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content or () if isinstance(part, dict))


# --- OpenAI Responses -------------------------------------------------------------------------------------------------


def _responses_texts(body: Json) -> list[tuple[str, str]]:
    items = body.get("input") or []
    if isinstance(items, str):
        return [("user", items)]
    texts = []
    for item in items:
        if str(item.get("type", "")).endswith("_output"):
            texts.append(("tool", _plain(item.get("output"))))
        elif item.get("role") == "user" or item.get("type") == "agent_message":
            texts.append(("user", _plain(item.get("content"))))
    return texts


def responses_events(body: Json, number: int) -> Iterator[Json]:
    """The events of one call of the Responses API, the last of which holds the whole response."""
    tools: dict[str, Json] = {}
    for tool in body.get("tools") or ():
        for one in tool.get("tools") or (tool,):
            tools[one.get("name", one.get("type", ""))] = one.get("parameters") or {}
    texts = _responses_texts(body)
    answer, tool = answer_to(texts, tools)
    response: Json = {"id": f"resp_{number:04}", "object": "response", "created_at": 1_790_000_000, "output": []}
    response |= {"model": body.get("model"), "status": "in_progress"}
    yield {"type": "response.created", "response": dict(response)}
    items: list[Json] = []
    if answer.thought:
        summary = [{"type": "summary_text", "text": answer.thought}]
        items.append(
            {
                "id": f"rs_{number:04}",
                "type": "reasoning",
                "summary": summary,
                "encrypted_content": "bm90LWEtdGhvdWdodA==",
            }
        )
    if answer.text:
        content = [{"type": "output_text", "text": answer.text, "annotations": []}]
        items.append(
            {
                "id": f"msg_{number:04}",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": content,
            }
        )
    if tool:
        call = {"type": "function_call", "name": tool, "call_id": f"call_{number:04}", "id": f"fc_{number:04}"}
        space = _space_of(body, tool)
        if space:
            call["namespace"] = space
        items.append(call | {"arguments": json.dumps(arguments_for(answer, tools[tool], texts)), "status": "completed"})
    for index, item in enumerate(items):
        yield from _item_events(index, item, answer)
    response["output"], response["status"] = items, "completed"
    response["usage"] = {
        "input_tokens": answer.usage.input,
        "input_tokens_details": {"cached_tokens": answer.usage.cached},
        "output_tokens": answer.usage.output,
        "output_tokens_details": {"reasoning_tokens": answer.usage.reasoning},
        "total_tokens": answer.usage.input + answer.usage.output,
    }
    yield {"type": "response.completed", "response": response}


def _space_of(body: Json, name: str) -> str:
    for tool in body.get("tools") or ():
        if any(one.get("name") == name for one in tool.get("tools") or ()):
            return str(tool["name"])
    return ""


def _item_events(index: int, item: Json, answer: Answer) -> Iterator[Json]:
    at: Json = {"output_index": index, "item_id": item["id"]}
    yield {"type": "response.output_item.added", "output_index": index, "item": item | {"status": "in_progress"}}
    if item["type"] == "reasoning":
        part = {"type": "summary_text", "text": ""}
        yield {"type": "response.reasoning_summary_part.added", "summary_index": 0, "part": part, **at}
        yield {"type": "response.reasoning_summary_text.delta", "summary_index": 0, "delta": answer.thought, **at}
    elif item["type"] == "message":
        part = {"type": "output_text", "text": ""}
        yield {"type": "response.content_part.added", "content_index": 0, "part": part, **at}
        yield {"type": "response.output_text.delta", "content_index": 0, "delta": answer.text, **at}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


# --- OpenAI chat completions ------------------------------------------------------------------------------------------


def _chat(body: Json) -> tuple[Answer, str, Json]:
    tools = {one["function"]["name"]: one["function"].get("parameters") or {} for one in body.get("tools") or ()}
    texts = [(str(one.get("role")), _plain(one.get("content"))) for one in body.get("messages") or ()]
    answer, tool = answer_to(texts, tools)
    return answer, tool, arguments_for(answer, tools.get(tool) or {}, texts)


def chat_events(body: Json, number: int) -> Iterator[Json]:
    """The chunks of one call of chat completions; the usage comes in a chunk of its own."""
    answer, tool, arguments = _chat(body)
    chunk: Json = {"id": f"chatcmpl-{number:04}", "object": "chat.completion.chunk", "created": 1_790_000_000}
    chunk["model"] = body.get("model")
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    if answer.thought:
        deltas.append({"reasoning_content": answer.thought})
    if answer.text:
        deltas.append({"content": answer.text})
    if tool:
        called = {"name": tool, "arguments": json.dumps(arguments)}
        deltas.append({"tool_calls": [{"index": 0, "id": f"call_{number:04}", "type": "function", "function": called}]})
    for delta in deltas:
        yield chunk | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if tool else "stop"}]}
    yield chunk | {"choices": [], "usage": _chat_usage(answer.usage)}


def chat_whole(body: Json, number: int) -> Json:
    """One call of chat completions that is not streamed."""
    answer, tool, arguments = _chat(body)
    message: Json = {"role": "assistant", "content": answer.text or None}
    if tool:
        called = {"name": tool, "arguments": json.dumps(arguments)}
        message["tool_calls"] = [{"id": f"call_{number:04}", "type": "function", "function": called}]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if tool else "stop"}
    return {
        "id": f"chatcmpl-{number:04}",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": body.get("model"),
        "choices": [choice],
        "usage": _chat_usage(answer.usage),
    }


def _chat_usage(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


# --- Gemini -----------------------------------------------------------------------------------------------------------


def _gemini(body: Json) -> tuple[Answer, str, Json]:
    tools: dict[str, Json] = {}
    for group in body.get("tools") or ():
        for one in group.get("functionDeclarations") or ():
            tools[one["name"]] = one.get("parametersJsonSchema") or one.get("parameters") or {}
    texts = []
    for content in body.get("contents") or ():
        parts = content.get("parts") or ()
        kind = "tool" if any("functionResponse" in part for part in parts) else str(content.get("role"))
        texts.append((kind, _plain(parts)))
    answer, tool = answer_to(texts, tools)
    return answer, tool, arguments_for(answer, tools.get(tool) or {}, texts)


def gemini_events(body: Json, model: str, number: int) -> Iterator[Json]:
    """The chunks of one call of streamGenerateContent; each has the usage as far as it goes."""
    answer, tool, arguments = _gemini(body)
    parts: list[Json] = []
    if answer.thought:
        parts.append({"text": answer.thought, "thought": True})
    if answer.text:
        parts.append({"text": answer.text})
    if tool:
        parts.append({"functionCall": {"name": tool, "args": arguments}})
    for index, part in enumerate(parts, start=1):
        candidate: Json = {"index": 0, "content": {"role": "model", "parts": [part]}}
        if index == len(parts):
            candidate["finishReason"] = "STOP"
        yield {
            "candidates": [candidate],
            "usageMetadata": _gemini_usage(answer.usage),
            "modelVersion": model,
            "responseId": f"gemini{number:04}",
        }


def gemini_whole(body: Json, model: str, number: int) -> Json:
    """One call of generateContent; asked for JSON, it fills in the schema that was sent."""
    config = body.get("generationConfig") or {}
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    if schema:
        text = json.dumps({name: filler(name, about) for name, about in (schema.get("properties") or {}).items()})
        part: Json = {"text": text}
        usage = _gemini_usage(TITLE.usage)
    else:
        events = list(gemini_events(body, model, number))
        return events[-1]
    candidate = {"index": 0, "content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": model,
        "responseId": f"gemini{number:04}",
    }


def _gemini_usage(usage: Usage) -> Json:
    return {
        "promptTokenCount": usage.input,
        "cachedContentTokenCount": usage.cached,
        "candidatesTokenCount": usage.output - usage.reasoning,
        "thoughtsTokenCount": usage.reasoning,
        "totalTokenCount": usage.input + usage.output,
    }


# --- the server -------------------------------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StubServer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing on standard error."""

    def do_GET(self) -> None:
        self.server.keep("GET", self.path, {})
        if self.path.endswith("/models") or "/models?" in self.path:
            self._whole({"object": "list", "data": [{"id": "harbor-1", "object": "model"}], "models": []})
        else:
            self._whole({"error": {"message": "nothing is here"}}, 404)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body: Json = json.loads(raw or b"{}")
        number = self.server.keep("POST", self.path, body)
        gemini = re.search(r"/models/([^:/]+):(\w+)", self.path)
        path = self.path.partition("?")[0]
        if gemini:
            self._gemini(gemini[1], gemini[2], body, number)
        elif path.endswith("/responses"):
            events = responses_events(body, number)
            if self._refused(answer_to(_responses_texts(body), {"": {}})[0]):
                return
            if body.get("stream"):
                self._stream(events, named=True)
            else:
                self._whole(list(events)[-1]["response"])
        elif path.endswith("/chat/completions"):
            if self._refused(_chat(body)[0]):
                return
            if body.get("stream"):
                self._stream(chat_events(body, number), end="data: [DONE]\n\n")
            else:
                self._whole(chat_whole(body, number))
        else:
            self._whole({"error": {"message": "nothing is here"}}, 404)

    def _gemini(self, model: str, verb: str, body: Json, number: int) -> None:
        if verb == "countTokens":
            self._whole({"totalTokens": 1200})
        elif self._refused(_gemini(body)[0]):
            return
        elif verb == "streamGenerateContent":
            self._stream(gemini_events(body, model, number))
        else:
            self._whole(gemini_whole(body, model, number))

    def _refused(self, answer: Answer) -> bool:
        if answer.error:
            said: Json = {"message": "The request is larger than the model allows.", "code": answer.error}
            self._whole({"error": said | {"type": "invalid_request_error", "status": "INVALID_ARGUMENT"}}, answer.error)
        return bool(answer.error)

    def _whole(self, body: Json, status: int = 200) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _stream(self, events: Iterator[Json], *, named: bool = False, end: str = "") -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for event in events:
            head = f"event: {event['type']}\n" if named else ""
            self.wfile.write(f"{head}data: {json.dumps(event)}\n\n".encode())
        self.wfile.write(end.encode())


class StubServer(ThreadingHTTPServer):
    """The server, on a free port of loopback; `base` is its address.

    Args:
        log: A file that gets every request as one line of JSON, to see what an agent asked for.
        port: A port of one's own choice.
    """

    daemon_threads = True

    def __init__(self, log: str | None = None, *, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.base = f"http://127.0.0.1:{self.server_address[1]}"
        self._log = log
        self._number = 0
        self._lock = threading.Lock()

    def keep(self, verb: str, path: str, body: Json) -> int:
        """Count a request, and write it down where a log is kept."""
        with self._lock:
            self._number += 1
            if self._log:
                with open(self._log, "a", encoding="utf-8") as file:
                    file.write(json.dumps({"number": self._number, "verb": verb, "path": path, "body": body}) + "\n")
            return self._number

    def __enter__(self) -> StubServer:
        """Begin to answer."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Answer no more."""
        self.shutdown()
        self.server_close()


def main() -> None:
    """Answer until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--log", help="a file for the requests, one line of JSON each")
    args = parser.parse_args()
    with StubServer(args.log, port=args.port) as server:
        print(server.base, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
