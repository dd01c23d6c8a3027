"""Asks a provider by the packages that its customers use, and prints what each call came to as a JSON object: name -> [cache, text]."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import anthropic
import openai

BASE = sys.argv[1]
OPENAI = openai.OpenAI(base_url=BASE + "/v1", api_key="sk-one", max_retries=0)
OTHER = openai.OpenAI(base_url=BASE + "/v1", api_key="sk-two", max_retries=0)
ANTHROPIC = anthropic.Anthropic(base_url=BASE, api_key="sk-ant", max_retries=0)


def chat(prompt, client=OPENAI, **more):
    messages = [{"role": "user", "content": prompt}]
    raw = client.chat.completions.with_raw_response.create(model="gpt-test", messages=messages, temperature=0, **more)
    parsed = raw.parse()
    if more.get("stream"):
        text = "".join(chunk.choices[0].delta.content or "" for chunk in parsed if chunk.choices)
    else:
        text = parsed.choices[0].message.content
    return [raw.headers["x-cache"], text.strip()]


def respond(prompt, stream=False):
    raw = OPENAI.responses.with_raw_response.create(model="gpt-test", input=prompt, temperature=0, stream=stream)
    parsed = raw.parse()
    if stream:
        text = "".join(event.delta for event in parsed if event.type == "response.output_text.delta")
    else:
        text = parsed.output_text
    return [raw.headers["x-cache"], text.strip()]


def message(prompt, stream=False):
    messages = [{"role": "user", "content": prompt}]
    raw = ANTHROPIC.messages.with_raw_response.create(model="claude-test", max_tokens=99, messages=messages, stream=stream, extra_body={"temperature": 0})
    parsed = raw.parse()
    if stream:
        text = "".join(event.delta.text for event in parsed if event.type == "content_block_delta")
    else:
        text = parsed.content[0].text
    return [raw.headers["x-cache"], text.strip()]


def embed(prompt):
    raw = OPENAI.embeddings.with_raw_response.create(model="embed-test", input=prompt, encoding_format="float")
    return [raw.headers["x-cache"], json.dumps([item.embedding for item in raw.parse().data])]


def left():
    """A client that leaves within the first words."""
    stream = OPENAI.chat.completions.create(model="gpt-test", messages=[{"role": "user", "content": "who leaves early"}], temperature=0, stream=True)
    first = next(iter(stream)).choices[0].delta.content
    stream.close()
    return ["", first.strip()]


def broken():
    try:
        chat("will break off", stream=True)
    except Exception as error:
        return ["", type(error).__module__.split(".")[0]]
    return ["", "whole"]


def until_hit(ask):
    """What is asked again until it is stored: the answer goes on without its client."""
    for _ in range(200):
        answer = ask()
        if answer[0] == "HIT":
            return answer
        time.sleep(0.01)
    return answer


def main():
    said = {}
    for name, ask in [
        ("chat", lambda: chat("one two three")),
        ("chat stream", lambda: chat("one two three", stream=True)),
        ("chat usage", lambda: chat("one two three", stream=True, stream_options={"include_usage": True})),
        ("responses", lambda: respond("four five")),
        ("responses stream", lambda: respond("four five", stream=True)),
        ("messages", lambda: message("six seven")),
        ("messages stream", lambda: message("six seven", stream=True)),
        ("embeddings", lambda: embed("eight nine")),
    ]:
        said[name] = ask()
        said[name + " again"] = until_hit(ask)
    said["embeddings rest"] = embed(["ten", "eight nine"])
    for name, ask in [("chat", chat), ("responses", respond), ("messages", message)]:
        ask(name + " asks for a stream", stream=True)
        said[name + " converted"] = until_hit(lambda: ask(name + " asks for a stream"))
    said["another key"] = chat("one two three", client=OTHER)
    said["broken"] = broken()
    said["broken again"] = chat("will break off", stream=True)
    said["left"] = left()
    said["left again"] = until_hit(lambda: chat("who leaves early", stream=True))
    with ThreadPoolExecutor(20) as pool:
        crowd = list(pool.map(lambda _: chat("a crowd of people", stream=True), range(20)))
    said["crowd"] = ["", " | ".join(sorted({text for _, text in crowd}))]
    print(json.dumps(said))


main()
