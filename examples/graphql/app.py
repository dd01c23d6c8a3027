"""A GraphQL endpoint, by graphql-core and Python's own server: python3 app.py HOST:PORT."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from graphql import build_schema, graphql_sync

SCHEMA = build_schema(
    """
    type Issue { id: ID!, title: String! }
    type Query { issue(id: ID!): Issue, issues: [Issue!]! }
    type Mutation { rename(id: ID!, title: String!): Issue }
    """
)
ISSUES = {"1": {"id": "1", "title": "It is slow"}, "2": {"id": "2", "title": "It is down"}}


def rename(_info, id, title):
    ISSUES[id]["title"] = title
    return ISSUES[id]


ROOT = {"issue": lambda _info, id: ISSUES.get(id), "issues": lambda _info: list(ISSUES.values()), "rename": rename}


class Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        result = graphql_sync(SCHEMA, asked["query"], ROOT, variable_values=asked.get("variables"))
        body = json.dumps(result.formatted).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    host, port = sys.argv[1].rsplit(":", 1)
    ThreadingHTTPServer((host, int(port)), Endpoint).serve_forever()
