"""A shop as many are written: FastAPI with its defaults, sessions in a cookie, and no word about caching."""

import sys

import uvicorn
from fastapi import Cookie, FastAPI
from fastapi.responses import PlainTextResponse

app = FastAPI(default_response_class=PlainTextResponse)


@app.get("/api/me")
@app.get("/api/me/{rest:path}")
def account(session: str = Cookie("nobody")):
    """Whatever follows is answered as the account itself, as a single-page application's server does it."""
    return f"account of {session}"


@app.get("/home")
def home(session: str = Cookie("nobody")):
    return f"welcome, {session}"


@app.get("/page")
def page(utm_source: str = "everyone"):
    return f"page for {utm_source}"


@app.get("/{rest:path}")
def public(rest: str):
    return f"public /{rest}"


if __name__ == "__main__":
    uvicorn.run(app, host=sys.argv[1], port=int(sys.argv[2]), log_level="info")
