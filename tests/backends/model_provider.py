"""A provider of language models: it answers each prompt with its words turned round, in the forms of OpenAI's and Anthropic's APIs.

A prompt with `break` in it is answered with a stream that breaks off the first time. `GET /count` tells how many prompts it was asked.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOCK = threading.Lock()
ASKED = {}


def chat_chunk(delta, finish=None, **more):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-test", "choices": [choice], **more}


def chat(words, streams):
    usage = {"prompt_tokens": len(words), "completion_tokens": len(words), "total_tokens": 2 * len(words)}
    if not streams:
        message = {"role": "assistant", "content": " ".join(words)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        yield {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-test", "choices": [choice], "usage": usage}
        return
    for number, word in enumerate(words):
        role = {} if number else {"role": "assistant"}
        yield "data: " + json.dumps(chat_chunk({**role, "content": word + " "})) + "\n\n"
    yield "data: " + json.dumps(chat_chunk({}, "stop", usage=usage)) + "\n\n"
    yield "data: [DONE]\n\n"


def response_of(words):
    content = [{"type": "output_text", "text": " ".join(words), "annotations": []}]
    message = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": content}
    usage = {"input_tokens": len(words), "output_tokens": len(words), "total_tokens": 2 * len(words)}
    return {"id": "r", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-test", "output": [message], "usage": usage}


def responses(words, streams):
    whole = response_of(words)
    if not streams:
        yield whole
        return
    for word in words:
        event = {"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0, "delta": word + " "}
        yield "event: response.output_text.delta\ndata: " + json.dumps(event) + "\n\n"
    yield "event: response.completed\ndata: " + json.dumps({"type": "response.completed", "response": whole}) + "\n\n"


def messages(words, streams):
    message = {"id": "m", "type": "message", "role": "assistant", "model": "claude-test", "stop_sequence": None}
    usage = {"input_tokens": len(words), "output_tokens": len(words)}
    if not streams:
        content = [{"type": "text", "text": " ".join(words)}]
        yield {**message, "content": content, "stop_reason": "end_turn", "usage": usage}
        return
    start = {**message, "content": [], "stop_reason": None, "usage": usage}
    events = [{"type": "message_start", "message": start}]
    events.append({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    for word in words:
        events.append({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word + " "}})
    events.append({"type": "content_block_stop", "index": 0})
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": len(words)}})
    events.append({"type": "message_stop"})
    for event in events:
        yield "event: " + event["type"] + "\ndata: " + json.dumps(event) + "\n\n"


def embeddings(texts, streams):
    embed = lambda text: [float(len(word)) for word in text.split()[::-1]]
    data = [{"object": "embedding", "index": index, "embedding": embed(text)} for index, text in enumerate(texts)]
    usage = {"prompt_tokens": 10 * len(texts), "total_tokens": 10 * len(texts)}
    yield {"object": "list", "data": data, "model": "embed-test", "usage": usage}


APIS = {
    "/v1/chat/completions": (chat, lambda body: body["messages"][-1]["content"]),
    "/v1/responses": (responses, lambda body: body["input"]),
    "/v1/messages": (messages, lambda body: body["messages"][-1]["content"]),
    "/v1/embeddings": (embeddings, lambda body: body["input"]),
}


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with LOCK:
            text = json.dumps(ASKED).encode()
        self.head("application/json", len(text))
        self.wfile.write(text)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer, prompt_of = APIS[self.path]
        prompts = prompt_of(body)
        prompts = [prompts] if isinstance(prompts, str) else [prompt if isinstance(prompt, str) else prompt["text"] for prompt in prompts]
        prompt = prompts[0]
        with LOCK:
            for text in prompts:
                ASKED[text] = ASKED.get(text, 0) + 1
            is_first = ASKED[prompt] == 1
        said = prompts if answer is embeddings else prompt.split()[::-1]
        pieces = answer(said, body.get("stream", False))
        first = next(pieces)
        if isinstance(first, dict):
            text = json.dumps(first).encode()
            self.head("application/json", len(text))
            self.wfile.write(text)
            return
        self.head("text/event-stream", None)
        for piece in [first, *pieces]:
            data = piece.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
            if "break" in prompt and is_first:
                self.close_connection = True
                return
            time.sleep(0.005)
        self.wfile.write(b"0\r\n\r\n")

    def head(self, kind, length):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Set-Cookie", "__cf_bm=%s; path=/" % time.monotonic_ns())
        self.send_header("x-request-id", "req_1")
        if length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *arguments):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Provider).serve_forever()
