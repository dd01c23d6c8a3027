"""A small API in FastAPI that says nothing about caching: python3 app.py HOST:PORT."""

import sys

import uvicorn
from fastapi import FastAPI, Header, HTTPException

app = FastAPI()
books = {1: {"id": 1, "title": "Dune", "stock": 3}, 2: {"id": 2, "title": "Emma", "stock": 1}}


@app.get("/books")
def listing():
    return list(books.values())


@app.get("/books/{number}")
def book(number: int):
    if number not in books:
        raise HTTPException(404)
    return books[number]


@app.put("/books/{number}/stock/{stock}")
def restock(number: int, stock: int):
    books[number]["stock"] = stock
    return books[number]


@app.get("/me")
def me(authorization: str = Header("nobody")):
    return {"user": authorization.removeprefix("Bearer ")}


if __name__ == "__main__":
    host, port = sys.argv[1].rsplit(":", 1)
    uvicorn.run(app, host=host, port=int(port), log_level="warning")
